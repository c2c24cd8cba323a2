//! Snapshots on their way to and from their store, which blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kbnt_application::ports::{Snapshot, SnapshotError, SnapshotStore};
use tokio::task::{JoinError, spawn_blocking};

/// Where a sole writer stores its snapshots, and how often it takes one.
pub struct SnapshotPlan<I> {
    /// The store.
    pub store: Arc<dyn SnapshotStore<I>>,
    /// The shortest interval; there is none if nothing was written since the last one.
    pub every: Duration,
}

/// The result of storing a snapshot, and how long that took.
pub(super) type Kept = (Result<u64, SnapshotError>, Duration);

impl<I: Send + 'static> SnapshotPlan<I> {
    /// The newest snapshot after skipping `before`.
    pub(super) async fn load(&self, before: usize) -> Option<Result<Snapshot<I>, SnapshotError>> {
        let store = Arc::clone(&self.store);
        let loaded = spawn_blocking(move || store.load(before)).await;
        loaded.unwrap_or_else(|error| Some(Err(stopped(error))))
    }

    /// Stores one, beside the work.
    pub(super) fn keep(&self, snapshot: Box<Snapshot<I>>) -> impl Future<Output = Kept> + Send + use<I> {
        let store = Arc::clone(&self.store);
        async move {
            let started = Instant::now();
            let kept = spawn_blocking(move || store.keep(&snapshot)).await;
            (kept.unwrap_or_else(|error| Err(stopped(error))), started.elapsed())
        }
    }
}

fn stopped(error: JoinError) -> SnapshotError {
    SnapshotError::Unavailable(error.into())
}
