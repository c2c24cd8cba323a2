//! Closed orders, remembered for a window of time.

use std::collections::VecDeque;

use crate::{OrderId, Reason, Timestamp};

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

/// Closed orders in order of closing.
#[derive(Debug, Default)]
pub(super) struct ClosedOrders {
    first: Number,
    closed: VecDeque<ClosedOrder>,
}

impl ClosedOrders {
    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.closed.len()
    }

    /// Remembers one more.
    pub(super) fn push(&mut self, closed: ClosedOrder) -> Number {
        // Far fewer are remembered than there are numbers, or memory would have run out.
        let behind = u32::try_from(self.closed.len()).unwrap_or(NUMBERS);
        self.closed.push_back(closed);
        self.first.wrapping_add(behind) % NUMBERS
    }

    /// Where a number stands, counted from the oldest; beyond the end if it is nobody's.
    pub(super) fn place(&self, number: Number) -> usize {
        (number.wrapping_sub(self.first) % NUMBERS) as usize
    }

    pub(super) fn get(&self, number: Number) -> Option<&ClosedOrder> {
        self.closed.get(self.place(number))
    }

    pub(super) fn get_mut(&mut self, number: Number) -> Option<&mut ClosedOrder> {
        let place = self.place(number);
        self.closed.get_mut(place)
    }

    /// The number of the oldest.
    pub(super) const fn first(&self) -> Number {
        self.first
    }

    /// The one of this number, or the oldest where it is forgotten; `None` beyond the newest.
    pub(super) fn at_or_after(&self, number: Number) -> Option<(Number, &ClosedOrder)> {
        // What lies far ahead of the oldest has been passed by it.
        let forgotten = self.place(number) > (NUMBERS / 2) as usize;
        let number = if forgotten { self.first } else { number };
        Some((number, self.get(number)?))
    }

    /// Whether a number is anybody's.
    pub(super) fn holds(&self, number: Number) -> bool {
        self.place(number) < self.closed.len()
    }

    /// Forgets the oldest, if it ended before `horizon`.
    pub(super) fn forget(&mut self, horizon: Timestamp) -> bool {
        let due = self.closed.front().is_some_and(|oldest| oldest.at < horizon);
        if due {
            self.closed.pop_front();
            self.first = self.first.wrapping_add(1) % NUMBERS;
        }
        due
    }

    /// Nothing has ended after `now`.
    pub(super) fn put_back(&mut self, now: Timestamp) {
        for closed in &mut self.closed {
            closed.at = closed.at.min(now);
        }
    }

    /// All of them; one that was revived since stands here, too.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Number, &ClosedOrder)> {
        (0..NUMBERS)
            .zip(&self.closed)
            .map(|(behind, closed)| (self.first.wrapping_add(behind) % NUMBERS, closed))
    }
}
