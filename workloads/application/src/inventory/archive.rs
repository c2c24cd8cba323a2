//! Closed orders that the inventory does not keep in memory.

use std::ops::Range;
use std::sync::Arc;

use kbnt_domain::stock::image::{Chunk, ImageError};
use kbnt_domain::stock::{Portion, ReservationFilter, ReservationPage, ReservationPlace, ReservationView};
use kbnt_domain::{OrderId, ReservationId};
use thiserror::Error;

use crate::machine::Halt;
use crate::ports::{ArchiveError, ClosedOrderArchive};

use super::InventoryMachine;

/// How many closed orders are kept in memory and how many are archived at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// The newest ones that stay in memory.
    pub in_memory: usize,
    /// Closed orders in a chunk.
    pub chunk: u32,
}

impl Default for ArchiveLimits {
    /// Some 10 MiB in memory; a few milliseconds to write a chunk, for which the decisions wait.
    fn default() -> Self {
        Self { in_memory: 32_768, chunk: 256 }
    }
}

/// Places of the archive that one call looks at, as each may have to be read from the disk.
const LOOKS: u64 = 64;

/// How many reservations an archived order may have had when it is looked for by one of them: one that is revived is confirmed.
const ATTEMPTS: u32 = 3;

/// The archive of a machine.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    store: Arc<dyn ClosedOrderArchive>,
    limits: ArchiveLimits,
    /// The place after all that the ledger has left to it, if it has that and nothing else.
    next: Option<u64>,
    /// The first place that the ledger may ask for.
    first: u64,
    /// Closed orders in memory when the next chunk is due: more where the last one could not be written.
    due: usize,
}

/// Why an image is of no use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// For itself.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// It goes with an archive that is not there.
    #[error("its older closed orders are not in the archive")]
    NoArchive,
    /// The archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Archive {
    fn new(store: Arc<dyn ClosedOrderArchive>, limits: ArchiveLimits) -> Self {
        Self { store, limits, next: None, first: 0, due: limits.in_memory }
    }

    /// The same, of a machine that has seen nothing.
    pub(super) fn anew(&self) -> Self {
        Self::new(Arc::clone(&self.store), self.limits)
    }

    /// Of a machine that has seen nothing, to begin with these chunks.
    pub(super) fn go_back_to(&mut self, chunks: &[Chunk]) -> Result<(), RestoreError> {
        if !self.store.go_back_to(chunks)? {
            return Err(RestoreError::NoArchive);
        }
        self.first = chunks.first().map_or(0, |chunk| chunk.first);
        self.next = Some(chunks.last().map_or(0, Chunk::end));
        Ok(())
    }
}

impl InventoryMachine {
    /// The same with an archive for the closed orders that are more than the limits say.
    #[must_use]
    pub fn archiving(self, store: Arc<dyn ClosedOrderArchive>, limits: ArchiveLimits) -> Self {
        Self { archive: Some(Archive::new(store, limits)), ..self }
    }

    /// Brings back what the archive has of an order, for one step. Must be called before whatever asks the ledger about the order.
    pub(super) fn recall(&mut self, order: OrderId) {
        if self.archive.is_some() {
            self.ledger.release();
            let recalled = self.recall_one(order);
            self.heed(recalled);
        }
    }

    fn recall_one(&mut self, order: OrderId) -> Result<(), ArchiveError> {
        let Some(archive) = self.archive.as_ref().filter(|_| self.ledger.wants(order)) else { return Ok(()) };
        let Some((place, closed)) = archive.store.find(order)? else { return Ok(()) };
        self.ledger.recall(place, closed).map_err(|error| ArchiveError::Damaged(error.to_string()))
    }

    /// Nothing can be decided without what the archive has. One that is damaged is reset, so that the next start fills it again.
    fn heed(&mut self, done: Result<(), ArchiveError>) {
        let (Err(error), Some(archive)) = (done, &self.archive) else { return };
        if matches!(error, ArchiveError::Damaged(_)) {
            // If that fails, the next start finds the damage again.
            let _ = archive.store.reset();
        }
        self.halted.get_or_insert_with(|| Halt::Archive(error.to_string()));
    }

    /// Leaves to the archive what is too much for the memory.
    pub(super) fn archive_surplus(&mut self) {
        let Some(archive) = &mut self.archive else { return };
        let Some((chunk, orders)) = self.ledger.surplus(archive.due, archive.limits.chunk) else { return };
        // Orders that were forgotten before they got there leave a gap: all that it has is forgotten, too.
        let follows = archive.next == Some(chunk.first);
        let reset = if follows { Ok(()) } else { archive.store.reset() };
        match reset.and_then(|()| archive.store.add(&chunk, &orders)) {
            Ok(checksum) => {
                archive.next = Some(chunk.end());
                archive.due = archive.limits.in_memory;
                self.ledger.archive(Chunk { checksum, ..chunk });
            }
            // It stays in memory for now.
            Err(ArchiveError::Unavailable(_)) => archive.due += archive.limits.chunk as usize,
            Err(error) => return self.heed(Err(error)),
        }
        self.forget_archived();
    }

    /// What the ledger has forgotten is not needed any more.
    fn forget_archived(&mut self) {
        let Some(archive) = &mut self.archive else { return };
        let first = self.ledger.archived().next().map_or(archive.first, |chunk| chunk.first);
        if first > archive.first && archive.store.forget(first).is_ok() {
            archive.first = first;
        }
    }

    /// A reservation as [`InventoryMachine::reservation`] shows it, or one that is archived.
    pub fn find_reservation(&mut self, id: ReservationId) -> Option<ReservationView> {
        let here = self.ledger.reservation(id);
        if here.is_some() || self.archive.is_none() {
            return here;
        }
        (0..ATTEMPTS).flat_map(|attempt| id.orders(attempt)).find_map(|order| {
            self.recall(order);
            self.ledger.reservation_of(order).filter(|view| view.reservation == id)
        })
    }

    /// A page as [`InventoryMachine::reservations`] shows it, with those that are archived: fewer at a time.
    pub fn list_reservations(
        &mut self,
        filter: &ReservationFilter,
        from: ReservationPlace,
        portion: Portion,
    ) -> ReservationPage {
        let looks = LOOKS.min(portion.looks as u64);
        let Some(places) = self.ledger.archived_from(from, looks).filter(|_| self.archive.is_some()) else {
            return self.ledger.reservations(filter, from, portion);
        };
        self.ledger.release();
        let looks = places.clone().count();
        let recalled = self.recall_range(places);
        self.heed(recalled);
        self.ledger.reservations(filter, from, Portion { looks, ..portion })
    }

    /// Brings back what counts of these places: an order that is in memory, or archived again later, does not.
    fn recall_range(&mut self, places: Range<u64>) -> Result<(), ArchiveError> {
        let Some(archive) = &self.archive else { return Ok(()) };
        let store = Arc::clone(&archive.store);
        for (place, closed) in store.range(places)? {
            let order = closed.order;
            if self.ledger.wants(order) && store.find(order)?.is_some_and(|(last, _)| last == place) {
                self.ledger
                    .recall(place, closed)
                    .map_err(|error| ArchiveError::Damaged(error.to_string()))?;
            }
        }
        Ok(())
    }
}
