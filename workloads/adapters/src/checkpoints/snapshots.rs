//! Snapshots on the disk of a process, and now and then one of them as a checkpoint.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kbnt_application::ports::{Snapshot, SnapshotError, SnapshotStore};
use kbnt_domain::{Span, Timestamp};
use tokio::runtime::Handle;

use super::{CheckpointError, CheckpointEvent, Checkpoints, Taken};
use crate::closed_orders::FjallArchive;
use crate::metrics::Metrics;
use crate::snapshots::{Rows, file};

/// The longest pause after a checkpoint that failed.
const PAUSE: Duration = Duration::from_mins(1);

/// A store of snapshots. A start for which it has none, or none that is of use, begins with a checkpoint.
pub struct CheckpointedSnapshots<I> {
    local: Arc<dyn SnapshotStore<I>>,
    /// How many of them were offered at this start.
    offered: AtomicUsize,
    checkpoints: Arc<Checkpoints>,
    archive: Option<Arc<FjallArchive>>,
    every: Duration,
    /// When the next checkpoint is due; `None` while one is under way.
    due: Arc<Mutex<Option<Instant>>>,
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
        metrics.begin_checkpoints(checkpoints.service(), every);
        Self {
            local,
            offered: AtomicUsize::new(0),
            checkpoints: Arc::new(checkpoints),
            archive,
            every,
            due: Arc::new(Mutex::new(Some(Instant::now()))),
            runtime,
            metrics,
        }
    }

    fn due(&self) -> MutexGuard<'_, Option<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a checkpoint beside the work, if one is due and none is under way.
    fn keep_checkpoint(&self, snapshot: &Snapshot<I>) -> io::Result<()> {
        let mut due = self.due();
        if due.is_none_or(|due| Instant::now() < due) {
            return Ok(());
        }
        let (bytes, taken) = (file::bytes(snapshot)?, snapshot.taken);
        let of = Taken { at: taken, reads: I::reads(snapshot), marks: snapshot.folded.clone() };
        let chunks = snapshot.image.chunks().to_vec();
        // What the newest two snapshots go with stays in the archive anyway: long enough until it is pinned.
        let (checkpoints, archive) = (Arc::clone(&self.checkpoints), self.archive.clone());
        let (metrics, every, next) = (Arc::clone(&self.metrics), self.every, Arc::clone(&self.due));
        *due = None;
        self.runtime.spawn(async move {
            let started = Instant::now();
            let closed_orders = archive.as_deref().map(|archive| (archive, &chunks[..]));
            let kept = match is_covered(&checkpoints, taken, every).await {
                Ok(Some(by)) => Ok(CheckpointEvent::Covered { by }),
                Ok(None) => checkpoints.keep(&of, bytes, closed_orders).await.map(|kept| {
                    let (number, bytes) = (kept.number, kept.bytes_written);
                    CheckpointEvent::Kept { taken, number, bytes, took: started.elapsed() }
                }),
                Err(error) => Err(error),
            };
            let pause = if kept.is_ok() { every } else { every.min(PAUSE) };
            let event = kept.unwrap_or_else(CheckpointEvent::Failed);
            metrics.checkpoint(checkpoints.service(), &event);
            *next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + pause);
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

/// When the newest checkpoint was taken, if that is so short before `taken` that no other one is due: another process of the service may
/// keep them, too.
async fn is_covered(
    checkpoints: &Checkpoints,
    taken: Timestamp,
    every: Duration,
) -> Result<Option<Timestamp>, CheckpointError> {
    let every = Span::from_millis(u64::try_from(every.as_millis()).unwrap_or(u64::MAX));
    match checkpoints.newest(0).await {
        Ok(newest) => {
            Ok(newest.map(|newest| newest.taken()).filter(|by| *by <= taken && taken.since(*by) < every))
        }
        // The next one takes its place.
        Err(CheckpointError::Place(error)) if error.is_damage() => Ok(None),
        Err(error) => Err(error),
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
