//! Waiting for memory once for many orders.
//!
//! A million reservations do not fit into any cache, so each decision waits for memory a few times, one after the other. A
//! batch of inputs is known beforehand: when all that its decisions will read is read first, in a loop that does nothing
//! else, the processor waits for many at a time.

use std::hint::black_box;

use crate::OrderId;
use crate::event::Basket;

use super::index::Place;
use super::ledger::Ledger;

/// What is coming: an order, and its basket if it is a new one.
pub type Coming<'a> = (OrderId, Option<&'a Basket>);

impl Ledger {
    /// Brings near what decisions about these orders will read; some tens of orders at a time. It changes nothing.
    pub fn foresee<'a>(&self, coming: impl Iterator<Item = Coming<'a>>) {
        let (mut tags, mut touched) = (Vec::with_capacity(128), 0);
        for (order, basket) in coming {
            let (tag, read) = self.index.touch(order);
            touched ^= u64::from(read);
            tags.push(tag);
            for line in basket.iter().flat_map(|basket| &basket.lines) {
                touched ^= self.catalogue.touch(&line.product);
            }
        }
        black_box(touched);
        // By now the places are near, and so in turn what lies there.
        let mut slots = Vec::with_capacity(tags.len());
        for place in tags.into_iter().filter_map(|tag| self.index.guess(tag)) {
            if let Place::Active(slot) = place {
                touched ^= self.reservations.touch(slot);
                slots.push(slot);
            }
        }
        black_box(touched);
        for active in slots.into_iter().filter_map(|slot| self.reservations.get(slot)) {
            touched ^=
                active.claim.lines.iter().fold(0, |all, line| all ^ self.catalogue.at(line.product).reserved);
        }
        black_box(touched);
    }
}
