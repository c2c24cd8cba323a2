//! Measures a machine's consumer lag now and then, beside the work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kbnt_application::intact::Bounds;
use kbnt_application::{Position, Service};
use tokio::task::JoinHandle;

use super::runner::RunnerParts;

const EVERY: Duration = Duration::from_secs(5);

/// Measures lag.
pub(super) struct Lag {
    last: Instant,
    running: Option<JoinHandle<()>>,
}

impl Lag {
    pub(super) fn new() -> Self {
        Self { last: Instant::now(), running: None }
    }

    /// Measures if it is time to; one measurement at a time. `stuck` counts orders that need a person's
    /// attention.
    pub(super) fn measure(
        &mut self,
        service: Service,
        parts: &RunnerParts,
        stuck: impl FnOnce() -> usize,
        at: impl FnOnce() -> Vec<Position>,
    ) {
        let busy = self.running.as_ref().is_some_and(|task| !task.is_finished());
        if busy || self.last.elapsed() < EVERY {
            return;
        }
        self.last = Instant::now();
        parts.observer.stuck(service, stuck());
        let (log, observer, positions) = (Arc::clone(&parts.log), Arc::clone(&parts.observer), at());
        self.running = Some(tokio::spawn(async move {
            for Position { topic, partition, offset } in positions {
                if let Ok(Bounds { end, .. }) = log.bounds(topic, partition).await {
                    observer.lag(service, topic, partition, end.saturating_sub(offset));
                }
            }
        }));
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        if let Some(task) = self.running.take() {
            task.abort();
        }
    }
}
