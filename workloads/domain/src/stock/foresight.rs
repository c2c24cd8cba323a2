//! Waiting for memory once for many orders.
//!
//! A million reservations do not fit into any cache, so each decision waits for memory a few times, one after the other. A
//! batch of inputs is known beforehand: when what its decisions will read first is read in a loop that does nothing else,
//! the processor waits for many at a time.

use std::hint::black_box;

use crate::OrderId;

use super::index::Place;
use super::ledger::Ledger;

impl Ledger {
    /// Brings near what decisions about these orders will read; some tens of orders at a time. It changes nothing.
    pub fn foresee(&self, orders: impl Iterator<Item = OrderId>) {
        let (mut tags, mut touched) = (Vec::with_capacity(128), 0);
        for order in orders {
            let (tag, read) = self.index.touch(order);
            touched ^= u64::from(read);
            tags.push(tag);
        }
        black_box(touched);
        // By now the places are near, and so in turn what lies there.
        for place in tags.into_iter().filter_map(|tag| self.index.guess(tag)) {
            if let Place::Active(slot) = place {
                touched ^= self.reservations.touch(slot);
            }
        }
        black_box(touched);
    }
}
