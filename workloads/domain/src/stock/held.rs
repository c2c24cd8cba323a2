//! Active reservations and their deadlines.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::{Currency, OrderId, Timestamp, UserId};

use super::product::ProductIx;

/// One product of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) product: ProductIx,
    /// At most 100 lines of 1,000,000.
    pub(super) units: u32,
    /// Minor units, for one.
    pub(super) unit_price: i64,
}

/// Most orders are for one product or two; more lines go to the heap.
pub(super) type Lines = SmallVec<[Line; 2]>;

/// What a reservation holds, as long as it may be confirmed.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) fingerprint: u64,
    pub(super) user: UserId,
    pub(super) lines: Lines,
    /// Minor units.
    pub(super) amount: i64,
    pub(super) deadline: Timestamp,
    pub(super) attempt: u32,
    pub(super) currency: Currency,
}

/// An active reservation.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) order: OrderId,
    pub(super) claim: Claim,
    /// The neighbours by deadline, or [`NONE`].
    before: u32,
    after: u32,
}

/// No neighbour.
const NONE: u32 = u32::MAX;
/// In `before`: not in the list but in the set.
const OUTSIDE: u32 = u32::MAX - 1;

/// Where an active reservation lies; reused after it has ended.
pub(super) type Slot = u32;

/// Slots to a block: large enough that blocks are few, small enough that none is a burden.
const BLOCK: usize = 1024;

/// All active reservations, and which one is due next.
///
/// With one TTL and a clock that never steps back each new deadline is the latest, so a list in order of arrival is
/// in order of deadlines. The few that are not (found at a recovery, or made after the TTL was lowered) are kept
/// in a set.
#[derive(Debug)]
pub(super) struct Reservations {
    blocks: Vec<Vec<Option<Active>>>,
    free: Vec<Slot>,
    first: Slot,
    last: Slot,
    others: BTreeSet<(Timestamp, Slot)>,
    count: usize,
}

impl Default for Reservations {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
            first: NONE,
            last: NONE,
            others: BTreeSet::new(),
            count: 0,
        }
    }
}

impl Reservations {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The one in `slot`.
    pub(super) fn get(&self, slot: Slot) -> Option<&Active> {
        self.blocks.get(slot as usize / BLOCK)?.get(slot as usize % BLOCK)?.as_ref()
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Active> {
        self.blocks.get_mut(slot as usize / BLOCK)?.get_mut(slot as usize % BLOCK)?.as_mut()
    }

    /// The product of a line of the one in `slot`.
    pub(super) fn product(&self, slot: Slot, line: usize) -> Option<ProductIx> {
        self.get(slot)?.claim.lines.get(line).map(|line| line.product)
    }

    /// All of them, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Active> {
        self.blocks.iter().flatten().flatten()
    }

    /// Takes one in.
    pub(super) fn insert(&mut self, order: OrderId, claim: Claim) -> Slot {
        let deadline = claim.deadline;
        let in_order = self.get(self.last).is_none_or(|last| last.claim.deadline <= deadline);
        let before = if in_order { self.last } else { OUTSIDE };
        let slot = self.place(Active { order, claim, before, after: NONE });
        if in_order {
            match self.get_mut(before) {
                Some(last) => last.after = slot,
                None => self.first = slot,
            }
            self.last = slot;
        } else {
            self.others.insert((deadline, slot));
        }
        self.count += 1;
        slot
    }

    fn place(&mut self, active: Active) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.blocks[slot as usize / BLOCK][slot as usize % BLOCK] = Some(active);
            return slot;
        }
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let start = (self.blocks.len() - 1) * BLOCK;
        let block = &mut self.blocks[start / BLOCK];
        block.push(Some(active));
        // Slots run out far beyond what memory holds.
        Slot::try_from(start + block.len() - 1).unwrap_or(NONE)
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Active> {
        let active = self.blocks.get_mut(slot as usize / BLOCK)?.get_mut(slot as usize % BLOCK)?.take()?;
        self.free.push(slot);
        self.count -= 1;
        if active.before == OUTSIDE {
            self.others.remove(&(active.claim.deadline, slot));
            return Some(active);
        }
        match self.get_mut(active.before) {
            Some(before) => before.after = active.after,
            None => self.first = active.after,
        }
        match self.get_mut(active.after) {
            Some(after) => after.before = active.before,
            None => self.last = active.before,
        }
        Some(active)
    }

    /// The one with the earliest deadline.
    pub(super) fn next(&self) -> Option<(Timestamp, Slot)> {
        let listed = self.get(self.first).map(|first| (first.claim.deadline, self.first));
        let other = self.others.first().copied();
        match (listed, other) {
            (Some(listed), Some(other)) => Some(listed.min(other)),
            (one, none) => one.or(none),
        }
    }
}
