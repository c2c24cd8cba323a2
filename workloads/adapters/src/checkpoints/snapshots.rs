//! Snapshots on the disk of a process, and now and then one of them as a checkpoint.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kbnt_application::ports::{Snapshot, SnapshotError, SnapshotStore};
use tokio::runtime::Handle;

use super::pace::Pace;
use super::{CheckpointError, CheckpointEvent, Checkpoints, Taken};
use crate::closed_orders::FjallArchive;
use crate::metrics::Metrics;
use crate::snapshots::{Rows, file};

/// A store of snapshots. A start for which it has none, or none that is of use, begins with a checkpoint.
pub struct CheckpointedSnapshots<I> {
    local: Arc<dyn SnapshotStore<I>>,
    /// How many of them were offered at this start.
    offered: AtomicUsize,
    checkpoints: Arc<Checkpoints>,
    archive: Option<Arc<FjallArchive>>,
    pace: Arc<Pace>,
    runtime: Handle,
    metrics: Arc<Metrics>,
}

impl<I: Rows> CheckpointedSnapshots<I> {
    /// Checkpoints of the snapshots in `local`, and of the archive that they go with; at most this often. They are kept on `runtime`.
    pub fn new(
        local: Arc<dyn SnapshotStore<I>>,
        checkpoints: Checkpoints,
        archive: Option<Arc<FjallArchive>>,
        every: Duration,
        runtime: Handle,
        metrics: Arc<Metrics>,
    ) -> Self {
        let pace = Arc::new(Pace::new(checkpoints.service(), every, Arc::clone(&metrics)));
        Self {
            local,
            offered: AtomicUsize::new(0),
            checkpoints: Arc::new(checkpoints),
            archive,
            pace,
            runtime,
            metrics,
        }
    }

    /// Keeps a checkpoint beside the work, if one is due and none is under way.
    fn keep_checkpoint(&self, snapshot: &Snapshot<I>) -> io::Result<()> {
        if !self.pace.is_due() {
            return Ok(());
        }
        let (bytes, taken) = (file::bytes(snapshot)?, snapshot.taken);
        let of = Taken { at: taken, reads: I::reads(snapshot), marks: snapshot.folded.clone() };
        let chunks = snapshot.image.chunks().to_vec();
        // What the newest two snapshots go with stays in the archive anyway: long enough until it is pinned.
        let (checkpoints, archive) = (Arc::clone(&self.checkpoints), self.archive.clone());
        let pace = Arc::clone(&self.pace);
        pace.begin();
        self.runtime.spawn(async move {
            let closed_orders = archive.as_deref().map(|archive| (archive, &chunks[..]));
            let keep = async { Ok((taken, checkpoints.keep(&of, bytes, closed_orders).await?)) };
            pace.keep(&checkpoints, taken, keep).await;
        });
        Ok(())
    }

    /// The checkpoint before `skip` newer ones.
    async fn fetch(&self, skip: usize) -> Result<Option<Snapshot<I>>, CheckpointError> {
        let Some(manifest) = self.checkpoints.newest(skip).await? else { return Ok(None) };
        let started = Instant::now();
        let bytes = self.checkpoints.fetch(&manifest, self.archive.as_deref()).await?;
        let snapshot = file::read(&bytes).map_err(|error| CheckpointError::Unusable {
            number: manifest.number(),
            reason: error.to_string(),
        })?;
        let (number, orders) = (manifest.number(), manifest.orders());
        let event =
            CheckpointEvent::Fetched { taken: manifest.taken(), number, orders, took: started.elapsed() };
        self.metrics.checkpoint(self.checkpoints.service(), &event);
        Ok(Some(snapshot))
    }
}

impl<I: Rows> SnapshotStore<I> for CheckpointedSnapshots<I> {
    fn keep(&self, snapshot: &Snapshot<I>) -> Result<u64, SnapshotError> {
        let bytes = self.local.keep(snapshot)?;
        self.keep_checkpoint(snapshot)?;
        Ok(bytes)
    }

    fn load(&self, before: usize) -> Option<Result<Snapshot<I>, SnapshotError>> {
        if let Some(loaded) = self.local.load(before) {
            self.offered.store(before + 1, Ordering::Relaxed);
            return Some(loaded);
        }
        if before == 0 {
            self.offered.store(0, Ordering::Relaxed);
        }
        let skip = before.saturating_sub(self.offered.load(Ordering::Relaxed));
        let fetched = self.runtime.block_on(self.fetch(skip));
        fetched.map_err(|error| SnapshotError::Unavailable(io::Error::other(error))).transpose()
    }
}
