//! Snapshots on their way to and from their store, which blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kbnt_application::ports::{Snapshot, SnapshotError, SnapshotStore};
use tokio::task::{JoinError, spawn_blocking};

/// Where a sole writer keeps its snapshots, and how often it takes one.
#[derive(Clone)]
pub struct SnapshotPlan {
    /// Where.
    pub store: Arc<dyn SnapshotStore>,
    /// Not more often than this; and not if nothing was written since the last one.
    pub every: Duration,
}

/// What came of keeping one, and how long it took.
pub(super) type Kept = (Result<u64, SnapshotError>, Duration);

impl SnapshotPlan {
    /// The newest snapshot but so many.
    pub(super) async fn load(&self, before: usize) -> Option<Result<Snapshot, SnapshotError>> {
        let store = Arc::clone(&self.store);
        let loaded = spawn_blocking(move || store.load(before)).await;
        loaded.unwrap_or_else(|error| Some(Err(stopped(error))))
    }

    /// Keeps one, beside the work.
    pub(super) async fn keep(self, snapshot: Box<Snapshot>) -> Kept {
        let started = Instant::now();
        let kept = spawn_blocking(move || self.store.keep(&snapshot)).await;
        (kept.unwrap_or_else(|error| Err(stopped(error))), started.elapsed())
    }
}

fn stopped(error: JoinError) -> SnapshotError {
    SnapshotError::Unavailable(error.into())
}
