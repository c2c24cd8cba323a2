//! What time it is, where clocks were wrong.

use crate::{Span, Timestamp};

use super::ledger::Ledger;

/// A clock that goes back by more has been put right; by less it only differs from another reading.
pub(super) const SETTING: Span = Span::from_minutes(1);

impl Ledger {
    /// It is `now`. It is set before anything is recovered, and then again and again. No record is taken to be written after
    /// it; and if it is well before the time of earlier decisions, the clock was wrong then and has been put right: a reservation
    /// of that time lasts from now on as long as any, at most.
    pub fn set_clock(&mut self, now: Timestamp) {
        self.present = Some(now);
        if self.clock.since(now) <= SETTING {
            return;
        }
        self.clock = now;
        self.closed_orders.put_back(now);
        self.reservations.bring_forward(now + self.terms.ttl);
        self.changes += 1;
    }

    /// When an event that says `at` was decided: never after the present, by whatever clock.
    pub(super) fn cap(&self, at: Timestamp) -> Timestamp {
        self.present.map_or(at, |now| at.min(now))
    }
}
