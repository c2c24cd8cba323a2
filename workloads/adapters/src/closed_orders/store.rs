//! One generation of the archive: a database that is filled from the first chunk on.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use fjall::config::{PartitioningPolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, LsmError, OwnedWriteBatch, PersistMode};
use kbnt_application::ports::ArchiveError;
use kbnt_domain::OrderId;
use kbnt_domain::stock::image::{Chunk, ClosedOrder};

use super::rows::{self, CHUNKS, Extent, Rows};

/// Blocks of the database in memory.
const CACHE: u64 = 32 << 20;

/// What is written is in memory and in a journal until it is so much.
const MEMTABLE: u64 = 8 << 20;

/// A longer journal is cut.
const JOURNALS: u64 = 64 << 20;

/// Files that are kept open.
const FILES: usize = 128;

/// What an error of the database means.
fn failed(error: &fjall::Error) -> ArchiveError {
    let is_damage =
        |kind| matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::NotFound | ErrorKind::InvalidData);
    let passes = match error {
        fjall::Error::Io(error) | fjall::Error::Storage(LsmError::Io(error)) => !is_damage(error.kind()),
        // A write has failed; it takes no more of them until it is opened again.
        fjall::Error::Poisoned | fjall::Error::Locked => true,
        _ => false,
    };
    if passes {
        ArchiveError::Unavailable(error.to_string())
    } else {
        ArchiveError::Damaged(error.to_string())
    }
}

/// What the database answers, or what its error means.
trait OrFailed<T> {
    fn or_failed(self) -> Result<T, ArchiveError>;
}

impl<T> OrFailed<T> for fjall::Result<T> {
    fn or_failed(self) -> Result<T, ArchiveError> {
        self.map_err(|error| failed(&error))
    }
}

/// A database, to be synced, measured or read while it is in use.
pub(super) struct Handle {
    database: Database,
    keyspace: Keyspace,
}

impl Handle {
    /// Makes all that was added survive a crash of the machine.
    pub(super) fn sync(&self) -> Result<(), ArchiveError> {
        self.database.persist(PersistMode::SyncData).or_failed()
    }

    /// How many bytes it takes on disk.
    pub(super) fn bytes(&self) -> Result<u64, ArchiveError> {
        self.database.disk_space().or_failed()
    }

    /// The rows of a chunk, which must be what was added.
    pub(super) fn rows(&self, chunk: &Chunk) -> Result<Rows, ArchiveError> {
        let (mut found, mut sum) = (Rows::new(), crc32fast::Hasher::new());
        for guard in self.keyspace.range(rows::row_key(chunk.first)..rows::row_key(chunk.end())) {
            let (key, row) = guard.into_inner().or_failed()?;
            let (place, closed) = (rows::place(&key)?, rows::parts(&row)?.1);
            rows::sum(&mut sum, place, closed);
            found.push((place, closed.to_vec()));
        }
        if sum.finalize() == chunk.checksum {
            Ok(found)
        } else {
            Err(ArchiveError::Damaged("the rows of a chunk are not what was added".to_owned()))
        }
    }
}

/// One database.
pub(super) struct Store {
    database: Database,
    keyspace: Keyspace,
    /// By their first places, without a gap.
    chunks: BTreeMap<u64, Extent>,
}

impl Store {
    /// Opens the database in `directory`; makes it if it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self, ArchiveError> {
        fs::create_dir_all(directory).map_err(|error| ArchiveError::Unavailable(error.to_string()))?;
        let database = Database::builder(directory)
            .cache_size(CACHE)
            .max_journaling_size(JOURNALS)
            .max_cached_files(Some(FILES))
            .worker_threads(1)
            .open()
            .or_failed()?;
        // Indexes and filters are read and dropped as rows are, or memory would grow with the rows.
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE)
                .index_block_pinning_policy(PinningPolicy::disabled())
                .filter_block_pinning_policy(PinningPolicy::disabled())
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
                .filter_block_partitioning_policy(PartitioningPolicy::all(true))
        };
        let keyspace = database.keyspace("closed-orders", options).or_failed()?;
        let mut chunks = BTreeMap::new();
        for guard in keyspace.prefix(CHUNKS) {
            let (key, value) = guard.into_inner().or_failed()?;
            chunks.insert(rows::place(&key)?, Extent::parse(&value)?);
        }
        Ok(Self { database, keyspace, chunks })
    }

    /// The place after the newest chunk.
    fn end(&self) -> Option<u64> {
        self.chunks.last_key_value().map(|(first, extent)| first + u64::from(extent.orders))
    }

    /// What syncs, measures and reads it while it is in use.
    pub(super) fn handle(&self) -> Handle {
        Handle { database: self.database.clone(), keyspace: self.keyspace.clone() }
    }

    /// Writes what is in memory to a table.
    #[cfg(test)]
    pub(super) fn flush(&self) {
        self.keyspace.rotate_memtable_and_wait().unwrap();
    }

    /// Loses a row.
    #[cfg(test)]
    pub(super) fn lose(&self, place: u64) {
        self.keyspace.remove(rows::row_key(place)).unwrap();
    }

    /// Whether these are its chunks.
    pub(super) fn has(&self, chunks: &[Chunk]) -> bool {
        chunks.iter().all(|chunk| {
            let extent = Extent { orders: chunk.orders, checksum: chunk.checksum };
            self.chunks.get(&chunk.first) == Some(&extent)
        })
    }

    pub(super) fn add(&mut self, chunk: &Chunk, orders: &[(u64, &ClosedOrder)]) -> Result<u32, ArchiveError> {
        if self.end().is_some_and(|end| end != chunk.first) {
            return Err(ArchiveError::Damaged("a chunk does not follow on the newest one".to_owned()));
        }
        let (mut batch, mut sum) = (self.database.batch(), crc32fast::Hasher::new());
        for (place, closed) in orders {
            let (key, bytes) = (rows::order_key(closed.order), rows::bytes_of(closed)?);
            rows::sum(&mut sum, *place, &bytes);
            batch.insert(&self.keyspace, rows::row_key(*place), rows::row(self.last_of(&key)?, &bytes));
            batch.insert(&self.keyspace, key, place.to_be_bytes());
        }
        let extent = Extent { orders: chunk.orders, checksum: sum.finalize() };
        batch.insert(&self.keyspace, rows::chunk_key(chunk.first), extent.bytes());
        batch.commit().or_failed()?;
        self.chunks.insert(chunk.first, extent);
        Ok(extent.checksum)
    }

    /// Where an order was archived last.
    fn last_of(&self, key: &[u8]) -> Result<Option<u64>, ArchiveError> {
        self.keyspace.get(key).or_failed()?.map(|place| rows::place(&place)).transpose()
    }

    pub(super) fn find(&self, order: OrderId) -> Result<Option<(u64, ClosedOrder)>, ArchiveError> {
        let Some(place) = self.last_of(&rows::order_key(order))? else { return Ok(None) };
        // After it has gone back, the place before may be one that is dropped by now.
        if self.chunks.first_key_value().is_none_or(|(first, _)| place < *first) {
            return Ok(None);
        }
        let row = self.keyspace.get(rows::row_key(place)).or_failed()?;
        let missing = || ArchiveError::Damaged("an order is not where it was archived".to_owned());
        let (_, closed) = rows::parse(&row.ok_or_else(missing)?)?;
        if closed.order == order { Ok(Some((place, closed))) } else { Err(missing()) }
    }

    pub(super) fn range(&self, places: Range<u64>) -> Result<Vec<(u64, ClosedOrder)>, ArchiveError> {
        let mut found = Vec::new();
        for guard in self.keyspace.range(rows::row_key(places.start)..rows::row_key(places.end)) {
            let (key, row) = guard.into_inner().or_failed()?;
            found.push((rows::place(&key)?, rows::parse(&row)?.1));
        }
        Ok(found)
    }

    /// Drops the chunks from `end` on, the newest first, so that what a crash leaves has no gap.
    pub(super) fn go_back_to(&mut self, end: u64) -> Result<(), ArchiveError> {
        while let Some((first, extent)) =
            self.chunks.last_key_value().map(|(first, extent)| (*first, *extent))
            && first >= end
        {
            self.drop_chunk(first, extent, |batch, keyspace, key, before| match before {
                Some(before) => batch.insert(keyspace, key, before.to_be_bytes()),
                None => batch.remove(keyspace, key),
            })?;
        }
        Ok(())
    }

    /// Drops some of the chunks that end at or before this place.
    pub(super) fn forget(&mut self, before: u64, most: usize) -> Result<(), ArchiveError> {
        for _ in 0..most {
            let oldest = self.chunks.first_key_value().map(|(first, extent)| (*first, *extent));
            let Some((first, extent)) =
                oldest.filter(|(first, extent)| first + u64::from(extent.orders) <= before)
            else {
                return Ok(());
            };
            self.drop_chunk(first, extent, |batch, keyspace, key, _| batch.remove(keyspace, key))?;
        }
        Ok(())
    }

    /// Drops a chunk; `settle` says where those of its orders are from now on that are not archived again later.
    fn drop_chunk(
        &mut self,
        first: u64,
        extent: Extent,
        settle: impl Fn(&mut OwnedWriteBatch, &Keyspace, [u8; 17], Option<u64>),
    ) -> Result<(), ArchiveError> {
        let mut batch = self.database.batch();
        let places = rows::row_key(first)..rows::row_key(first + u64::from(extent.orders));
        for guard in self.keyspace.range(places) {
            let (key, row) = guard.into_inner().or_failed()?;
            let (before, closed) = rows::parse(&row)?;
            let order = rows::order_key(closed.order);
            if self.last_of(&order)? == Some(rows::place(&key)?) {
                settle(&mut batch, &self.keyspace, order, before);
            }
            batch.remove(&self.keyspace, key);
        }
        batch.remove(&self.keyspace, rows::chunk_key(first));
        batch.commit().or_failed()?;
        self.chunks.remove(&first);
        Ok(())
    }
}
