//! Snapshots of the inventory that go with an archive of closed orders.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kbnt_application::inventory::Image;
use kbnt_application::ports::{Snapshot, SnapshotError, SnapshotStore};

use super::SnapshotDirectory;
use crate::closed_orders::FjallArchive;

/// Keeps snapshots in a directory, and what they need in the archive.
#[derive(Debug)]
pub struct ArchivedSnapshots {
    directory: SnapshotDirectory<Image>,
    archive: Arc<FjallArchive>,
    /// Where the archive begins for the snapshot that was kept last.
    last: AtomicU64,
}

impl ArchivedSnapshots {
    /// What is in the directory goes with this archive.
    pub fn new(directory: SnapshotDirectory<Image>, archive: Arc<FjallArchive>) -> Self {
        archive.keep_from(0);
        Self { directory, archive, last: AtomicU64::new(0) }
    }
}

impl SnapshotStore<Image> for ArchivedSnapshots {
    fn keep(&self, snapshot: &Snapshot<Image>) -> Result<u64, SnapshotError> {
        // A snapshot must not outlive what it goes with: that is made durable first.
        self.archive.sync().map_err(io::Error::other)?;
        let bytes = self.directory.keep(snapshot)?;
        // It is there in place of the one before the last.
        let first = snapshot.image.ledger.archived.first().map_or(0, |chunk| chunk.first);
        let last = self.last.swap(first, Ordering::Relaxed);
        self.archive.keep_from(last.min(first));
        Ok(bytes)
    }

    fn load(&self, before: usize) -> Option<Result<Snapshot<Image>, SnapshotError>> {
        self.directory.load(before)
    }
}
