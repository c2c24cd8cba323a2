//! Copies of reservations in a log that is folded.
//!
//! A batch whose acknowledgement was lost is written again, so a log may hold a reservation and its end, and then both once more.
//! Whoever folds the log long after that has forgotten the order at its first end, and would take the second reservation for another
//! one.

use std::collections::VecDeque;

use hashbrown::HashSet;

use crate::{ReservationId, Timestamp};

/// So many reservations are looked back for: many more than a batch makes.
const MOST: usize = 16_384;

/// The reservations that were folded last, by what their event says. An order that comes again when it is forgotten has the same
/// reservation at another time.
#[derive(Debug, Default)]
pub(super) struct Copies {
    order: VecDeque<(ReservationId, Timestamp)>,
    known: HashSet<(ReservationId, Timestamp), foldhash::fast::RandomState>,
}

impl Copies {
    /// Takes note of a reservation that was made at `at`; whether it is a copy of one of the last.
    pub(super) fn is_one(&mut self, reservation: ReservationId, at: Timestamp) -> bool {
        if !self.known.insert((reservation, at)) {
            return true;
        }
        self.order.push_back((reservation, at));
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        false
    }
}
