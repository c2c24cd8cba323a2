//! Closed orders that are remembered outside the ledger, so that its memory does not grow with the window.
//!
//! The ledger knows the archive as a list of chunks. Whoever drives it writes the oldest closed orders to the archive, one chunk after
//! the other ([`Ledger::surplus`], [`Ledger::archive`]), and before each step brings back what the archive has of its order
//! ([`Ledger::recall`]). Places number all orders that ever closed, so an archive may hold several ends of an order, of which the one
//! with the highest place counts; and an archive that has got ahead of an image is brought back to it by dropping what lies behind the
//! image's last chunk.

use std::collections::VecDeque;
use std::ops::Range;

use crate::{OrderId, Timestamp};

use super::closed_orders::{ClosedOrder, ClosedOrders};
use super::image::ImageError;
use super::index::Place;
use super::ledger::Ledger;
use super::view::ReservationPlace;

/// Closed orders that were written to the archive together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The place of the first one among all that ever closed.
    pub first: u64,
    /// How many places it covers. Not all have an order in the archive: some orders were amended or revived since.
    pub orders: u32,
    /// When the last of them ended; whatever the archive says of one, it was not later.
    pub newest: Timestamp,
    /// Of what was written, so that an archive that holds something else is told from this one.
    pub checksum: u32,
}

impl Chunk {
    /// The place after it.
    pub const fn end(&self) -> u64 {
        self.first + self.orders as u64
    }
}

/// What lies in the archive: chunks without a gap.
#[derive(Debug, Default)]
pub(super) struct Archived {
    chunks: VecDeque<Chunk>,
}

impl Archived {
    pub(super) fn new(chunks: Vec<Chunk>) -> Result<Self, ImageError> {
        let without_gap = chunks.is_sorted_by(|one, next| one.end() == next.first);
        if without_gap && chunks.iter().all(|chunk| chunk.orders > 0) {
            Ok(Self { chunks: chunks.into() })
        } else {
            Err(ImageError::Unsound)
        }
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.first)
    }

    /// Places that it covers.
    pub(super) fn orders(&self) -> u64 {
        self.chunks.front().zip(self.chunks.back()).map_or(0, |(first, last)| last.end() - first.first)
    }

    pub(super) fn add(&mut self, chunk: Chunk) {
        self.chunks.push_back(chunk);
    }

    /// Forgets the oldest chunk, if all of it ended before `horizon`. How many places it covered.
    pub(super) fn forget(&mut self, horizon: Timestamp) -> u64 {
        self.chunks.pop_front_if(|chunk| chunk.newest < horizon).map_or(0, |chunk| u64::from(chunk.orders))
    }

    pub(super) fn put_back(&mut self, now: Timestamp) {
        for chunk in &mut self.chunks {
            chunk.newest = chunk.newest.min(now);
        }
    }

    /// When the last one of the chunk ended that covers `place`.
    pub(super) fn newest_around(&self, place: u64) -> Option<Timestamp> {
        let after = self.chunks.partition_point(|chunk| chunk.first <= place);
        let chunk = self.chunks.get(after.checked_sub(1)?)?;
        (place < chunk.end()).then_some(chunk.newest)
    }
}

impl Ledger {
    /// The oldest `orders` closed orders, if more than `most` and these are in memory: to be written to the archive. The chunk that
    /// they make has no checksum yet. Orders that were amended or revived since are not among them.
    pub fn surplus(&self, most: usize, orders: u32) -> Option<(Chunk, Vec<(u64, &ClosedOrder)>)> {
        let wanted = orders as usize;
        if orders == 0 || self.closed_orders.len() < most.saturating_add(wanted) {
            return None;
        }
        let (first, _) = self.closed_orders.oldest(1).next()?;
        let newest = self.closed_orders.oldest(wanted).map(|(_, closed)| closed.at).max()?;
        let chunk = Chunk { first, orders, newest, checksum: 0 };
        let standing = self.closed_orders.standing().take_while(|(place, _)| *place < chunk.end()).collect();
        Some((chunk, standing))
    }

    /// The chunk is written: it is not kept in memory any more.
    pub fn archive(&mut self, chunk: Chunk) {
        for (place, closed) in self.closed_orders.oldest(chunk.orders as usize) {
            let here = Place::Closed(ClosedOrders::number(place));
            let known = self.index.get(closed.order, |other| (other == here).then_some(closed.order));
            if let Some(known) = known {
                self.index.remove(known);
            }
        }
        self.closed_orders.archive(chunk);
    }

    /// The archive, from the oldest chunk on.
    pub fn archived(&self) -> impl Iterator<Item = &Chunk> {
        self.closed_orders.archived().chunks()
    }

    /// Whether the archive may have something of an order that memory has nothing of.
    pub fn wants(&self, order: OrderId) -> bool {
        !self.closed_orders.archived().is_empty() && !self.knows(order)
    }

    /// Takes in what the archive has of an order, its end with the highest place, until the next [release](Ledger::release). The
    /// order must be [wanted](Ledger::wants).
    pub fn recall(&mut self, place: u64, closed: ClosedOrder) -> Result<(), ImageError> {
        self.check(closed.claim.as_deref())?;
        let (order, horizon) = (closed.order, self.horizon());
        if let Some(number) = self.closed_orders.recall(place, closed, horizon) {
            self.stand(order, None, Place::Closed(number));
        }
        Ok(())
    }

    /// The places in the archive, `most` of them, that a list goes on with at `from`; `None` if that is not in the archive.
    pub fn archived_from(&self, from: ReservationPlace, most: u64) -> Option<Range<u64>> {
        let ReservationPlace::Closed(number) = from else { return None };
        let before = self.closed_orders.before(self.closed_orders.at_or_after(number)?);
        let archived = self.closed_orders.archived();
        let first = archived.first()?;
        (before < archived.orders()).then(|| first + before..first + archived.orders().min(before + most))
    }

    /// Forgets what was recalled; orders that a step has changed stand where it has put them.
    pub fn release(&mut self) {
        while let Some((number, closed)) = self.closed_orders.take_recalled() {
            let place = Place::Closed(number);
            if let Some(known) = self.known_at(closed.order, place) {
                self.index.remove(known);
            }
        }
    }
}
