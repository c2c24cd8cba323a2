//! Where the reservation or the end of an order is found.
//!
//! A table of its own, because the reservations of a busy shop do not fit into any cache: what counts is how often
//! memory is waited for. A lookup reads one cache line here and one where the order stands; and orders that are forgotten
//! need not be removed: their pointers lead nowhere, and the next order that comes by takes their place.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::OrderId;

use super::closed_orders::{NUMBERS, Number};
use super::reservations::Slot;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Holds units.
    Active(Slot),
    /// Has ended.
    Closed(Number),
}

impl Place {
    /// Where it holds units.
    pub(super) const fn slot(self) -> Option<Slot> {
        match self {
            Self::Active(slot) => Some(slot),
            Self::Closed(_) => None,
        }
    }

    const fn pack(self) -> u32 {
        match self {
            Self::Active(slot) => slot,
            Self::Closed(number) => number | NUMBERS,
        }
    }

    const fn unpack(packed: u32) -> Self {
        if packed < NUMBERS { Self::Active(packed) } else { Self::Closed(packed - NUMBERS) }
    }
}

/// Where an order stands, and where the index says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) place: Place,
    bucket: usize,
    entry: usize,
}

impl Known {
    /// The same order after a shift.
    pub(super) const fn moved(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

/// No place: the last slot, which memory does not reach.
const VACANT: u32 = NUMBERS - 1;

/// Pointers in one bucket.
const WIDTH: usize = 7;

/// One cache line of pointers. Each is a part of the order's hash, so that growing need not look up orders, and a
/// packed place.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket {
    tags: [u32; WIDTH],
    places: [u32; WIDTH],
    /// Pointers that belong here, or before, and found no room here.
    passed: u32,
}

const EMPTY: Bucket = Bucket { tags: [0; WIDTH], places: [VACANT; WIDTH], passed: 0 };

/// One bit for each pointer of a bucket that is meant. It has no branches: where in its bucket a pointer is, is random, and
/// a processor that guesses wrong loses more time than it takes to look at all of them.
fn marked(is_meant: impl Fn(usize) -> bool) -> u32 {
    (0..WIDTH).fold(0, |marks, i| marks | u32::from(is_meant(i)) << i)
}

/// The pointers that are marked.
fn each(mut marks: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = marks.trailing_zeros();
        marks &= marks.checked_sub(1)?;
        Some(first as usize)
    })
}

/// Finds orders. The hash is keyed at random for each index, as order ids come from outside.
#[derive(Debug)]
pub(super) struct Index {
    buckets: Vec<Bucket>,
    hasher: RandomState,
}

impl Default for Index {
    fn default() -> Self {
        Self { buckets: vec![EMPTY; 16], hasher: RandomState::default() }
    }
}

impl Index {
    fn tag(&self, order: OrderId) -> u32 {
        let hash = self.hasher.hash_one(order.as_uuid().as_u128());
        u32::try_from(hash >> 32).unwrap_or_default()
    }

    /// The bucket where a tag belongs.
    fn home(&self, tag: u32) -> usize {
        // In the same proportion; it is less than the number of buckets.
        usize::try_from((u64::from(tag) * self.buckets.len() as u64) >> 32).unwrap_or_default()
    }

    const fn after(&self, bucket: usize) -> usize {
        if bucket + 1 < self.buckets.len() { bucket + 1 } else { 0 }
    }

    /// Where the pointer is that has this tag and is the one.
    fn seek(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<(usize, usize)> {
        let mut at = self.home(tag);
        loop {
            let bucket = &self.buckets[at];
            let found = marked(|i| bucket.tags[i] == tag) & marked(|i| bucket.places[i] != VACANT);
            if let Some(i) = each(found).find(|&i| is_it(bucket.places[i])) {
                return Some((at, i));
            }
            if bucket.passed == 0 {
                return None;
            }
            at = self.after(at);
        }
    }

    /// Where `order` stands; `order_at` tells whose a place is.
    pub(super) fn get(&self, order: OrderId, order_at: impl Fn(Place) -> Option<OrderId>) -> Option<Known> {
        let is_it = |place| order_at(Place::unpack(place)) == Some(order);
        let (bucket, entry) = self.seek(self.tag(order), is_it)?;
        Some(Known { place: Place::unpack(self.buckets[bucket].places[entry]), bucket, entry })
    }

    /// Reads the memory that a lookup of `order` reads first; what it says is of use to [`Index::guess`] only.
    pub(super) fn touch(&self, order: OrderId) -> (u32, u32) {
        let tag = self.tag(order);
        (tag, self.buckets[self.home(tag)].passed)
    }

    /// Where the order of this tag probably is.
    pub(super) fn guess(&self, tag: u32) -> Option<Place> {
        let (bucket, entry) = self.seek(tag, |_| true)?;
        Some(Place::unpack(self.buckets[bucket].places[entry]))
    }

    /// Moves an order, if it still stands where it is known to. Only taking in another one can have changed that.
    pub(super) fn shift(&mut self, known: Known, to: Place) {
        let place = &mut self.buckets[known.bucket].places[known.entry];
        if *place == known.place.pack() {
            *place = to.pack();
        }
    }

    /// Takes in an order that has no place yet. `leads` tells whether a place still is anybody's, and `known` how many
    /// orders there are.
    pub(super) fn insert(&mut self, order: OrderId, to: Place, known: usize, leads: impl Fn(Place) -> bool) {
        // At most about three of four are taken, so that few find their bucket full.
        if known * 4 >= self.buckets.len() * WIDTH * 3 {
            self.grow(&leads);
        }
        self.put(self.tag(order), to.pack(), &leads);
    }

    fn put(&mut self, tag: u32, place: u32, leads: &impl Fn(Place) -> bool) {
        let mut at = self.home(tag);
        loop {
            let places = &self.buckets[at].places;
            let free = marked(|i| places[i] == VACANT) | marked(|i| !leads(Place::unpack(places[i])));
            if let Some(i) = each(free).next() {
                self.vacate(at, i);
                self.buckets[at].tags[i] = tag;
                self.buckets[at].places[i] = place;
                return;
            }
            self.buckets[at].passed += 1;
            at = self.after(at);
        }
    }

    /// Takes a pointer out; buckets that it had found full are one less to be passed.
    fn vacate(&mut self, at: usize, i: usize) {
        if std::mem::replace(&mut self.buckets[at].places[i], VACANT) == VACANT {
            return;
        }
        let mut on_the_way = self.home(self.buckets[at].tags[i]);
        while on_the_way != at {
            self.buckets[on_the_way].passed -= 1;
            on_the_way = self.after(on_the_way);
        }
    }

    fn grow(&mut self, leads: &impl Fn(Place) -> bool) {
        let twice = vec![EMPTY; self.buckets.len() * 2];
        for bucket in std::mem::replace(&mut self.buckets, twice) {
            for (&tag, &place) in bucket.tags.iter().zip(&bucket.places) {
                if place != VACANT && leads(Place::unpack(place)) {
                    self.put(tag, place, leads);
                }
            }
        }
    }

    /// Forgets an order, if it still stands where it is known to.
    pub(super) fn remove(&mut self, known: Known) {
        if self.buckets[known.bucket].places[known.entry] == known.place.pack() {
            self.vacate(known.bucket, known.entry);
        }
    }
}
