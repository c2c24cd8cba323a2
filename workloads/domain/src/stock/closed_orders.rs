//! Closed orders, remembered for a window of time.

use std::collections::{BTreeSet, VecDeque};

use crate::{OrderId, Reason, Timestamp};

use super::archive::{Archived, Chunk};
use super::reservations::{Active, Claim};

/// How an order stands that holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its units have left the stock.
    Confirmed,
    /// Undone, or promised to be refused.
    Released(Reason),
    /// Its time was up; a late payment may still revive it.
    Expired,
    /// Nothing was ever reserved.
    Refused(Reason),
}

/// A closed order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedOrder {
    /// Which.
    pub order: OrderId,
    /// Of the basket that was decided on; `None` where only a release was seen so far.
    pub fingerprint: Option<u64>,
    /// When.
    pub at: Timestamp,
    /// How.
    pub end: End,
    /// Its payment was reported as lost.
    pub lost: bool,
    /// Why it is not to be revived though it has only expired: it was cancelled, or its payment has failed.
    pub barred: Option<Reason>,
    /// Reservations that were made for it.
    pub attempts: u32,
    /// What it held, where it may be revived.
    pub claim: Option<Box<Claim>>,
}

impl ClosedOrder {
    /// What is remembered of a reservation that has ended for good.
    pub(super) fn of(order: OrderId, claim: &Claim, end: End, at: Timestamp) -> Self {
        let (fingerprint, attempts) = (Some(claim.fingerprint), claim.attempt + 1);
        Self { order, fingerprint, at, end, lost: false, barred: None, attempts, claim: None }
    }

    /// What is remembered of one that has expired: all, as it may be revived.
    pub(super) fn expired(active: Active, at: Timestamp) -> Self {
        let closed = Self::of(active.order, &active.claim, End::Expired, at);
        Self { claim: Some(Box::new(active.claim)), ..closed }
    }

    /// Its payment is to be undone: nothing revives it.
    pub(super) fn lose(&mut self) {
        self.lost = true;
        self.claim = None;
    }

    /// It has expired, and nothing revives it.
    pub(super) fn bar(&mut self, reason: Reason) {
        self.barred = Some(reason);
        self.claim = None;
    }

    /// Whether a late payment may still revive it.
    pub(super) fn may_revive(&self) -> bool {
        self.end == End::Expired && self.barred.is_none() && !self.lost
    }

    /// Why there is no reservation.
    pub(super) fn reason(&self) -> Reason {
        match (self.barred, self.end) {
            (Some(reason), _) | (None, End::Released(reason) | End::Refused(reason)) => reason,
            // A confirmed one has a reservation; nobody asks.
            (None, End::Expired | End::Confirmed) => Reason::ReservationExpired,
        }
    }
}

/// The number of a closed order, in order of closing; wraps around.
pub(super) type Number = u32;

/// Numbers have this many values.
pub(super) const NUMBERS: u32 = 1 << 31;

/// Closed orders in order of closing. The oldest may lie in an archive outside, in chunks.
#[derive(Debug, Default)]
pub(super) struct ClosedOrders {
    /// The place of the oldest among all that ever closed.
    first: u64,
    /// The oldest, as far as they lie in the archive.
    archived: Archived,
    /// The others.
    closed: VecDeque<ClosedOrder>,
    /// The places of those of them whose orders stand elsewhere by now, or nowhere.
    left: BTreeSet<u64>,
    /// Copies out of the archive, as long as a decision needs them.
    recalled: Vec<(Number, ClosedOrder)>,
}

impl ClosedOrders {
    /// How many are remembered here.
    pub(super) fn len(&self) -> usize {
        self.closed.len()
    }

    /// Those in the archive.
    pub(super) const fn archived(&self) -> &Archived {
        &self.archived
    }

    /// Takes up an archive, before there is anything else.
    pub(super) fn restore(&mut self, archived: Archived) {
        self.first = archived.first().unwrap_or_default();
        self.archived = archived;
    }

    /// The number of the order at a place among all that ever closed.
    pub(super) fn number(place: u64) -> Number {
        // It is less than the number of numbers, and fits.
        Number::try_from(place % u64::from(NUMBERS)).unwrap_or_default()
    }

    /// Remembers one more.
    pub(super) fn push(&mut self, closed: ClosedOrder) -> Number {
        // Far fewer are remembered than there are numbers, or memory would have run out.
        self.closed.push_back(closed);
        Self::number(self.first + self.archived.orders() + self.closed.len() as u64 - 1)
    }

    /// How many stand before a number, from the oldest on; beyond the end if it is nobody's.
    pub(super) fn before(&self, number: Number) -> u64 {
        u64::from(number.wrapping_sub(Self::number(self.first)) % NUMBERS)
    }

    /// Where a number stands among those that are here, from the oldest of them on; `None` if it is archived.
    pub(super) fn place(&self, number: Number) -> Option<usize> {
        usize::try_from(self.before(number).checked_sub(self.archived.orders())?).ok()
    }

    pub(super) fn get(&self, number: Number) -> Option<&ClosedOrder> {
        match self.place(number) {
            Some(place) => self.closed.get(place),
            None => self.recalled.iter().find(|(recalled, _)| *recalled == number).map(|(_, closed)| closed),
        }
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut ClosedOrder> {
        match self.place(number) {
            Some(place) => self.closed.get_mut(place),
            None => {
                self.recalled.iter_mut().find(|(recalled, _)| *recalled == number).map(|(_, closed)| closed)
            }
        }
    }

    /// The number of the oldest.
    pub(super) fn first(&self) -> Number {
        Self::number(self.first)
    }

    /// This number, or the oldest where it is forgotten; `None` beyond the newest.
    pub(super) fn at_or_after(&self, number: Number) -> Option<Number> {
        // What lies far ahead of the oldest has been passed by it.
        let forgotten = self.before(number) > u64::from(NUMBERS / 2);
        let number = if forgotten { self.first() } else { number };
        (self.before(number) < self.archived.orders() + self.closed.len() as u64).then_some(number)
    }

    /// The order stands at this number no longer.
    pub(super) fn leave(&mut self, number: Number) {
        if let Some(place) = self.place(number).filter(|place| *place < self.closed.len()) {
            self.left.insert(self.first_here() + place as u64);
        }
    }

    /// The place of the oldest that is here.
    fn first_here(&self) -> u64 {
        self.first + self.archived.orders()
    }

    /// Whether a number is anybody's who is here.
    pub(super) fn holds(&self, number: Number) -> bool {
        self.get(number).is_some()
    }

    /// Forgets the oldest, if it ended before `horizon`; of the archive a chunk at a time.
    pub(super) fn forget(&mut self, horizon: Timestamp) -> bool {
        if !self.archived.is_empty() {
            let forgotten = self.archived.forget(horizon);
            self.first += forgotten;
            return forgotten > 0;
        }
        let due = self.closed.front().is_some_and(|oldest| oldest.at < horizon);
        if due {
            self.closed.pop_front();
            self.left.remove(&self.first);
            self.first += 1;
        }
        due
    }

    /// Nothing has ended after `now`.
    pub(super) fn put_back(&mut self, now: Timestamp) {
        self.archived.put_back(now);
        for closed in &mut self.closed {
            closed.at = closed.at.min(now);
        }
    }

    /// All of them that are here and where their orders stand, with their places among all.
    pub(super) fn standing(&self) -> impl Iterator<Item = (u64, &ClosedOrder)> {
        // Both are in the order of places: to look each one up would take far longer where all of a window is in memory.
        let mut left = self.left.iter().peekable();
        self.oldest(self.closed.len()).filter(move |(place, _)| left.next_if_eq(&place).is_none())
    }

    /// The oldest `orders` that are here, with their places among all; fewer if there are not so many.
    pub(super) fn oldest(&self, orders: usize) -> impl Iterator<Item = (u64, &ClosedOrder)> {
        (self.first_here()..).zip(self.closed.iter().take(orders))
    }

    /// The oldest that are here lie in the archive from now on, and not here any more.
    pub(super) fn archive(&mut self, chunk: Chunk) {
        for place in (chunk.first..).take(chunk.orders as usize) {
            self.closed.pop_front();
            self.left.remove(&place);
        }
        self.archived.add(chunk);
    }

    /// Takes in a copy out of the archive; `None` if it is forgotten.
    pub(super) fn recall(&mut self, place: u64, closed: ClosedOrder, horizon: Timestamp) -> Option<Number> {
        let newest = self.archived.newest_around(place)?;
        let closed = ClosedOrder { at: closed.at.min(newest), ..closed };
        let (number, is_due) = (Self::number(place), closed.at < horizon);
        (!is_due).then(|| self.recalled.push((number, closed)))?;
        Some(number)
    }

    /// Hands out the copies, which are not needed any more.
    pub(super) fn take_recalled(&mut self) -> Option<(Number, ClosedOrder)> {
        self.recalled.pop()
    }
}
