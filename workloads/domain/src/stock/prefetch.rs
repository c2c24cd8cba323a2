//! Waiting for memory once for many orders.
//!
//! A million reservations do not fit into any cache, so each decision waits for memory a few times, one after the other. A
//! batch of inputs is known beforehand: when what its decisions will read first is read in loops that do nothing else,
//! the processor waits for many at a time. Each loop reads what the one before it has shown the way to.

use std::hint::black_box;

use crate::OrderId;

use super::index::Place;
use super::ledger::Ledger;

/// Inputs that are mostly prefetched at a time.
const BATCH: usize = 128;

impl Ledger {
    /// Brings near what decisions about these orders will read; some tens of orders at a time. It changes nothing.
    pub fn prefetch(&self, orders: impl Iterator<Item = OrderId>) {
        let (mut tags, mut touched) = (Vec::with_capacity(BATCH), 0);
        for order in orders {
            let (tag, read) = self.index.touch(order);
            touched ^= u64::from(read);
            tags.push(tag);
        }
        black_box(touched);
        let mut links = Vec::with_capacity(BATCH);
        let slots = tags.into_iter().filter_map(|tag| self.index.guess(tag)).filter_map(Place::slot);
        for (link, read) in slots.filter_map(|slot| self.reservations.touch(slot)) {
            touched ^= read;
            links.push(link);
        }
        black_box(touched);
        for link in links {
            touched ^= self.reservations.touch_beside(link);
        }
        black_box(touched);
    }
}
