//! An archive of closed orders on a disk that outlives its processes. In a crash the disk falls back to any time since it was synced; it is
//! damaged, full or unreadable, and somebody puts something else in its place.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kbnt_application::ports::{ArchiveError, ClosedOrderArchive};
use kbnt_domain::OrderId;
use kbnt_domain::stock::image::{Chunk, ClosedOrder};

use crate::plan::rng::Rng;

/// Chunks that are dropped at a time when they are forgotten.
const FORGOTTEN_MOST: usize = 2;

/// A chunk as it was written.
#[derive(Debug)]
pub(crate) struct Stored {
    first: u64,
    end: u64,
    checksum: u32,
    rows: Vec<(u64, ClosedOrder)>,
}

/// All that is on a disk, the oldest chunk first.
pub(crate) type Contents = Vec<Arc<Stored>>;

/// What is wrong with a disk for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// It cannot be written.
    Full,
    /// It cannot be read.
    Unreadable,
}

#[derive(Debug, Default)]
struct Disk {
    contents: Contents,
    /// What was there since it was synced last.
    unsynced: Vec<Contents>,
    /// What lies at or behind this place is needed by a snapshot.
    floor: u64,
    /// Where it begins for the snapshot that was kept last.
    last: u64,
    trouble: Trouble,
    /// Places whose rows are not what was written.
    damaged: BTreeSet<u64>,
    /// It has told its process of damage, or that it cannot be read: the process must not write any more.
    failed: bool,
    /// The process has heard of damage, and has not reset it since.
    refused: bool,
    /// Chunks of the snapshots that were kept last, which it must go back to.
    promised: Vec<Vec<Chunk>>,
    broken: Option<String>,
    recalled: u64,
}

/// The archive on one disk.
#[derive(Debug, Default)]
pub(crate) struct DiskArchive(Mutex<Disk>);

fn damaged() -> ArchiveError {
    ArchiveError::Damaged("by the seed".to_owned())
}

fn end_of(chunks: &[Chunk]) -> u64 {
    chunks.last().map_or(0, |last| last.first + u64::from(last.orders))
}

impl Disk {
    fn can_write(&self) -> Result<(), ArchiveError> {
        match self.trouble {
            Trouble::Full => Err(ArchiveError::Unavailable("it is full".to_owned())),
            _ => self.can_read(),
        }
    }

    fn can_read(&self) -> Result<(), ArchiveError> {
        match self.trouble {
            Trouble::Unreadable => Err(ArchiveError::Unavailable("it cannot be read".to_owned())),
            _ => Ok(()),
        }
    }

    fn is_whole(&self, stored: &Stored) -> Result<(), ArchiveError> {
        if self.damaged.range(stored.first..stored.end).next().is_some() { Err(damaged()) } else { Ok(()) }
    }

    /// Its contents become others, which are not synced yet.
    fn change(&mut self, change: impl FnOnce(&mut Contents)) {
        self.unsynced.push(self.contents.clone());
        change(&mut self.contents);
    }

    /// The last row of an order.
    fn last_of(&self, order: OrderId) -> Result<Option<&(u64, ClosedOrder)>, ArchiveError> {
        let rows = self.contents.iter().rev().flat_map(|stored| stored.rows.iter().rev());
        let found = { rows }.find(|(_, closed)| closed.order == order);
        match found {
            Some((place, _)) if self.damaged.contains(place) => Err(damaged()),
            found => Ok(found),
        }
    }

    fn find(&self, order: OrderId) -> Result<Option<(u64, ClosedOrder)>, ArchiveError> {
        self.can_read()?;
        Ok(self.last_of(order)?.cloned())
    }

    fn range(&self, places: &Range<u64>) -> Result<Vec<(u64, ClosedOrder)>, ArchiveError> {
        self.can_read()?;
        if self.damaged.range(places.clone()).next().is_some() {
            return Err(damaged());
        }
        let rows = self.contents.iter().flat_map(|stored| &stored.rows);
        Ok(rows.filter(|(place, _)| places.contains(place)).cloned().collect())
    }

    fn add(&mut self, chunk: &Chunk, orders: &[(u64, &ClosedOrder)]) -> Result<u32, ArchiveError> {
        self.can_write()?;
        if self.contents.last().is_some_and(|last| last.end != chunk.first) {
            // It falls back and is changed only while no process has it.
            self.broken = Some(format!("a chunk does not follow on the newest one: {chunk:?}"));
            return Err(ArchiveError::Damaged("a chunk does not follow on the newest one".to_owned()));
        }
        let mut sum = DefaultHasher::new();
        for (place, closed) in orders {
            self.last_of(closed.order)?;
            (place, format!("{closed:?}")).hash(&mut sum);
        }
        let checksum = u32::try_from(sum.finish() >> 32).unwrap_or_default();
        let rows = orders.iter().map(|(place, closed)| (*place, ClosedOrder::clone(closed))).collect();
        let (first, end) = (chunk.first, chunk.first + u64::from(chunk.orders));
        self.change(|contents| contents.push(Arc::new(Stored { first, end, checksum, rows })));
        Ok(checksum)
    }

    fn has(&self, chunks: &[Chunk]) -> bool {
        chunks.iter().all(|chunk| {
            let is_it = |stored: &Arc<Stored>| {
                let known = (stored.first, stored.end - stored.first, stored.checksum);
                known == (chunk.first, u64::from(chunk.orders), chunk.checksum)
            };
            self.contents.iter().any(is_it)
        })
    }

    fn go_back_to(&mut self, chunks: &[Chunk]) -> Result<bool, ArchiveError> {
        if chunks.is_empty() {
            return self.reset().map(|()| true);
        }
        if !self.has(chunks) {
            if self.promised.iter().any(|promised| promised == chunks) {
                self.broken = Some(format!("its archive has lost what a snapshot needs: {chunks:?}"));
            }
            return Ok(false);
        }
        let end = end_of(chunks);
        self.promised.retain(|promised| end_of(promised) <= end);
        while let Some(last) = self.contents.last().filter(|last| last.first >= end).cloned() {
            self.can_write()?;
            self.is_whole(&last)?;
            self.change(|contents| drop(contents.pop()));
        }
        Ok(true)
    }

    fn forget(&mut self, before: u64) -> Result<(), ArchiveError> {
        for _ in 0..FORGOTTEN_MOST {
            let oldest = self.contents.first().filter(|oldest| oldest.end <= before.min(self.floor)).cloned();
            let Some(oldest) = oldest else { break };
            self.can_write()?;
            self.is_whole(&oldest)?;
            self.change(|contents| drop(contents.remove(0)));
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), ArchiveError> {
        self.refused = false;
        self.can_write()?;
        self.promised.clear();
        self.change(Vec::clear);
        self.damaged.clear();
        Ok(())
    }

    /// After this the process must not write.
    fn tell<T>(&mut self, told: Result<T, ArchiveError>) -> Result<T, ArchiveError> {
        self.failed |= told.is_err();
        self.refused |= matches!(told, Err(ArchiveError::Damaged(_)));
        told
    }
}

impl DiskArchive {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process begins with it, which has snapshots or not.
    pub(crate) fn open(&self, snapshots: bool) {
        let mut disk = self.disk();
        if mem::take(&mut disk.refused) {
            disk.broken = Some("an archive is as damaged as it was".to_owned());
        }
        (disk.failed, disk.floor, disk.last) = (false, if snapshots { 0 } else { u64::MAX }, 0);
    }

    /// A snapshot is to be kept that needs these chunks: it must not outlive them.
    pub(crate) fn before_keeping(&self) -> Result<(), ArchiveError> {
        let mut disk = self.disk();
        disk.can_write()?;
        disk.unsynced.clear();
        Ok(())
    }

    /// A snapshot is kept that needs these chunks, in place of the one before the last `most`.
    pub(crate) fn kept(&self, chunks: &[Chunk], most: usize) {
        let mut disk = self.disk();
        let first = chunks.first().map_or(0, |chunk| chunk.first);
        let last = mem::replace(&mut disk.last, first);
        disk.floor = last.min(first);
        disk.promised.push(chunks.to_vec());
        if disk.promised.len() > most {
            disk.promised.remove(0);
        }
    }

    /// What it holds.
    pub(crate) fn contents(&self) -> Contents {
        self.disk().contents.clone()
    }

    /// Somebody has put this in its place.
    pub(crate) fn replace(&self, contents: Contents) {
        let mut disk = self.disk();
        (disk.contents, disk.unsynced) = (contents, Vec::new());
        disk.damaged.clear();
        disk.promised.clear();
    }

    /// It is emptied, and has the closed orders of a checkpoint then.
    pub(crate) fn fill(&self, contents: Contents) -> Result<(), ArchiveError> {
        let mut disk = self.disk();
        disk.reset()?;
        (disk.contents, disk.unsynced) = (contents, Vec::new());
        Ok(())
    }

    /// The machine has crashed, and what is left was there some time since the last sync.
    pub(crate) fn fall_back(&self, rng: &mut Rng) {
        let mut disk = self.disk();
        let unsynced = mem::take(&mut disk.unsynced);
        if let Some(contents) = rng.pick(&unsynced) {
            disk.contents.clone_from(contents);
        }
    }

    /// A row is damaged.
    pub(crate) fn damage(&self, rng: &mut Rng) {
        let mut disk = self.disk();
        let rows: Vec<u64> =
            disk.contents.iter().flat_map(|stored| &stored.rows).map(|(place, _)| *place).collect();
        disk.damaged.extend(rng.pick(&rows));
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        self.disk().trouble = trouble;
    }

    /// Whether its process must not write any more.
    pub(crate) fn has_failed(&self) -> bool {
        self.disk().failed
    }

    /// A promise that it could not keep, though nothing has happened to it.
    pub(crate) fn broken(&self) -> Option<String> {
        self.disk().broken.take()
    }

    /// How many closed orders were brought back.
    pub(crate) fn recalled(&self) -> u64 {
        self.disk().recalled
    }
}

impl ClosedOrderArchive for DiskArchive {
    fn reset(&self) -> Result<(), ArchiveError> {
        self.disk().reset()
    }

    fn go_back_to(&self, chunks: &[Chunk]) -> Result<bool, ArchiveError> {
        self.disk().go_back_to(chunks)
    }

    fn add(&self, chunk: &Chunk, orders: &[(u64, &ClosedOrder)]) -> Result<u32, ArchiveError> {
        let mut disk = self.disk();
        let added = disk.add(chunk, orders);
        // What could not be written stays in memory.
        if matches!(added, Err(ArchiveError::Unavailable(_))) { added } else { disk.tell(added) }
    }

    fn find(&self, order: OrderId) -> Result<Option<(u64, ClosedOrder)>, ArchiveError> {
        let mut disk = self.disk();
        let found = disk.find(order);
        disk.recalled += u64::from(matches!(found, Ok(Some(_))));
        disk.tell(found)
    }

    fn range(&self, places: Range<u64>) -> Result<Vec<(u64, ClosedOrder)>, ArchiveError> {
        let mut disk = self.disk();
        let found = disk.range(&places);
        disk.tell(found)
    }

    fn forget(&self, before: u64) -> Result<(), ArchiveError> {
        self.disk().forget(before)
    }
}
