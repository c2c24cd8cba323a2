//! Where the reservation or the end of an order is found.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;
use std::hash::BuildHasher;

use crate::OrderId;

use super::ended::{NUMBERS, Number};
use super::held::Slot;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Holds units.
    Active(Slot),
    /// Has ended.
    Ended(Number),
}

impl Place {
    const fn pack(self) -> u32 {
        match self {
            Self::Active(slot) => slot,
            Self::Ended(number) => number | NUMBERS,
        }
    }

    const fn unpack(packed: u32) -> Self {
        if packed < NUMBERS { Self::Active(packed) } else { Self::Ended(packed - NUMBERS) }
    }
}

/// Eight bytes an order: the order id itself stands where the place points, and a part of its hash stands here so
/// that growing need not look there.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    place: u32,
    tag: u32,
}

/// Finds orders. The hash is keyed at random for each index, as order ids come from outside.
#[derive(Debug, Default)]
pub(super) struct Index {
    table: HashTable<Pointer>,
    hasher: RandomState,
}

/// The table's hash of a tag: it takes its high and its low bits for different purposes.
fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Index {
    fn tag(&self, order: OrderId) -> u32 {
        let hash = self.hasher.hash_one(order.as_uuid().as_u128());
        u32::try_from(hash >> 32).unwrap_or_default()
    }

    /// The place of `order`; `order_at` tells whose a place is.
    pub(super) fn get(&self, order: OrderId, order_at: impl Fn(Place) -> Option<OrderId>) -> Option<Place> {
        let tag = self.tag(order);
        let found = self.table.find(spread(tag), |pointer| {
            pointer.tag == tag && order_at(Place::unpack(pointer.place)) == Some(order)
        });
        found.map(|pointer| Place::unpack(pointer.place))
    }

    /// Sets the place of an order, which was at `from` before.
    pub(super) fn put(&mut self, order: OrderId, from: Option<Place>, to: Place) {
        let tag = self.tag(order);
        if let Some(from) = from.map(Place::pack)
            && let Some(pointer) = self.table.find_mut(spread(tag), |pointer| pointer.place == from)
        {
            pointer.place = to.pack();
            return;
        }
        self.table
            .insert_unique(spread(tag), Pointer { place: to.pack(), tag }, |pointer| spread(pointer.tag));
    }

    /// Forgets an order if it is at `place`; one that has moved on stays.
    pub(super) fn remove(&mut self, order: OrderId, place: Place) {
        let (tag, packed) = (self.tag(order), place.pack());
        if let TableEntry::Occupied(entry) =
            self.table.entry(spread(tag), |pointer| pointer.place == packed, |pointer| spread(pointer.tag))
        {
            entry.remove();
        }
    }

    /// How many orders it knows.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}
