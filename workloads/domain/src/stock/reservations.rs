//! Active reservations and their deadlines.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::{Currency, OrderId, Timestamp, UserId};

use super::product::ProductIx;

/// One product of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its place in the catalogue.
    pub product: ProductIx,
    /// At most 100 lines of 1,000,000.
    pub units: u32,
    /// Minor units, for one.
    pub unit_price: i64,
}

/// Most orders are for one product or two; more lines go to the heap.
pub type Lines = SmallVec<[Line; 2]>;

/// What a reservation holds, as long as it may be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of the basket that was asked for.
    pub fingerprint: u64,
    /// For whom.
    pub user: UserId,
    /// What.
    pub lines: Lines,
    /// Minor units.
    pub amount: i64,
    /// When it expires.
    pub deadline: Timestamp,
    /// Which reservation of its order it is, from 0.
    pub attempt: u32,
    /// Of its amount and its prices.
    pub currency: Currency,
}

impl Claim {
    /// All units.
    pub(super) fn units(&self) -> u64 {
        self.lines.iter().map(|line| u64::from(line.units)).sum()
    }
}

/// An active reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// Whose.
    pub order: OrderId,
    /// What it holds.
    pub claim: Claim,
}

/// Where an active reservation lies; reused after it has ended.
pub(super) type Slot = u32;

/// The neighbours of a slot in the order of deadlines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    deadline: Timestamp,
    /// [`NONE`] before the first, [`OUTSIDE`] where it is not in the list.
    before: Slot,
    /// [`NONE`] after the last.
    after: Slot,
}

/// No neighbour.
const NONE: Slot = Slot::MAX;
/// Not in the list but in the set.
const OUTSIDE: Slot = Slot::MAX - 1;

/// All active reservations, and which one is due next.
///
/// With one TTL and a clock that never steps back each new deadline is the latest, so a list in order of arrival is
/// in order of deadlines. The few that are not (found at a recovery, or made after the TTL was lowered) are kept
/// in a set. The list stands apart from what it links, so that taking one out need not touch its neighbours.
#[derive(Debug)]
pub(super) struct Reservations {
    slots: Vec<Option<Active>>,
    links: Vec<Link>,
    free: Vec<Slot>,
    first: Slot,
    last: Slot,
    others: BTreeSet<(Timestamp, Slot)>,
}

impl Default for Reservations {
    fn default() -> Self {
        let (slots, links, free) = (Vec::new(), Vec::new(), Vec::new());
        Self { slots, links, free, first: NONE, last: NONE, others: BTreeSet::new() }
    }
}

impl Reservations {
    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The one in `slot`.
    pub(super) fn get(&self, slot: Slot) -> Option<&Active> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Reads the memory that finding one and taking it out reads first: its first bytes and its last, and its link, which it
    /// tells.
    pub(super) fn touch(&self, slot: Slot) -> Option<(Link, u64)> {
        let (link, active) = (self.links.get(slot as usize)?, self.get(slot)?);
        let last = active.order.as_uuid().as_bytes()[15];
        Some((*link, active.claim.fingerprint ^ u64::from(last)))
    }

    /// Reads the memory that taking it out reads next, its neighbours' links, and returns nothing of use.
    pub(super) fn touch_beside(&self, link: Link) -> u64 {
        let neighbour = |slot: Slot| self.links.get(slot as usize).map_or(NONE, |link| link.after);
        u64::from(neighbour(link.before) ^ neighbour(link.after))
    }

    /// All of them, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Active> {
        self.slots.iter().flatten()
    }

    /// How many slots there are, with those that are free.
    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Takes one in.
    pub(super) fn insert(&mut self, order: OrderId, claim: Claim) -> Slot {
        let deadline = claim.deadline;
        let last = self.links.get(self.last as usize);
        let in_order = last.is_none_or(|last| last.deadline <= deadline);
        let before = if in_order { self.last } else { OUTSIDE };
        let slot = self.place(Active { order, claim }, Link { deadline, before, after: NONE });
        if in_order {
            match self.links.get_mut(before as usize) {
                Some(last) => last.after = slot,
                None => self.first = slot,
            }
            self.last = slot;
        } else {
            self.others.insert((deadline, slot));
        }
        slot
    }

    fn place(&mut self, active: Active, link: Link) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(active);
            self.links[slot as usize] = link;
            return slot;
        }
        self.slots.push(Some(active));
        self.links.push(link);
        // Slots run out far beyond what memory holds.
        Slot::try_from(self.links.len() - 1).unwrap_or(NONE)
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Active> {
        let active = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        self.unlink(slot);
        Some(active)
    }

    /// Takes one out of the order of deadlines.
    fn unlink(&mut self, slot: Slot) {
        let link = self.links[slot as usize];
        if link.before == OUTSIDE {
            self.others.remove(&(link.deadline, slot));
            return;
        }
        match self.links.get_mut(link.before as usize) {
            Some(before) => before.after = link.after,
            None => self.first = link.after,
        }
        match self.links.get_mut(link.after as usize) {
            Some(after) => after.before = link.before,
            None => self.last = link.before,
        }
    }

    /// None is due later than `latest`.
    pub(super) fn bring_forward(&mut self, latest: Timestamp) {
        let late = |(_, active): &(usize, &Option<Active>)| {
            active.as_ref().is_some_and(|active| active.claim.deadline > latest)
        };
        let late: Vec<usize> = self.slots.iter().enumerate().filter(late).map(|(slot, _)| slot).collect();
        for slot in late {
            let Ok(slot) = Slot::try_from(slot) else { return };
            self.unlink(slot);
            let link = Link { deadline: latest, before: OUTSIDE, after: NONE };
            self.links[slot as usize] = link;
            if let Some(active) = &mut self.slots[slot as usize] {
                active.claim.deadline = latest;
            }
            self.others.insert((latest, slot));
        }
    }

    /// The one with the earliest deadline.
    pub(super) fn next(&self) -> Option<(Timestamp, Slot)> {
        let listed = self.links.get(self.first as usize).map(|first| (first.deadline, self.first));
        let other = self.others.first().copied();
        match (listed, other) {
            (Some(listed), Some(other)) => Some(listed.min(other)),
            (one, none) => one.or(none),
        }
    }
}
