//! How often checkpoints are kept.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kbnt_application::Service;
use kbnt_domain::{Span, Timestamp};

use super::{CheckpointError, CheckpointEvent, Checkpoints, Kept};
use crate::metrics::Metrics;

/// The longest pause after a checkpoint that failed.
const PAUSE: Duration = Duration::from_mins(1);

/// How often the process keeps a checkpoint, one after the other.
pub(super) struct Pace {
    every: Duration,
    /// A checkpoint of another process counts as young for this many times as long.
    turn: u32,
    /// The number of the last one that this process has kept.
    mine: Mutex<Option<u64>>,
    /// When the next one is due; `None` while one is under way.
    due: Mutex<Option<Instant>>,
    metrics: Arc<Metrics>,
}

impl Pace {
    /// At most this often.
    pub(super) fn new(service: Service, every: Duration, metrics: Arc<Metrics>) -> Self {
        metrics.begin_checkpoints(service, every);
        Self { every, turn: 1, mine: Mutex::default(), due: Mutex::new(Some(Instant::now())), metrics }
    }

    /// While one process keeps them, others leave it to that one: it writes less, as most of what it keeps is there from before.
    pub(super) fn by_turns(self) -> Self {
        Self { turn: 2, ..self }
    }

    fn due(&self) -> MutexGuard<'_, Option<Instant>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one is to be begun.
    pub(super) fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }

    /// One is begun: none is due until it is over.
    pub(super) fn begin(&self) {
        *self.due() = None;
    }

    /// Keeps the one that was begun by `keep`, unless another process has kept one so shortly before `taken` that none is needed. Returns
    /// whether this one is kept.
    pub(super) async fn keep(
        &self,
        checkpoints: &Checkpoints,
        taken: Timestamp,
        keep: impl Future<Output = Result<(Timestamp, Kept), CheckpointError>>,
    ) -> bool {
        let started = Instant::now();
        let mine = *self.mine.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |newest: u64| {
            if Some(newest) == mine { self.every } else { self.every.saturating_mul(self.turn) }
        };
        let kept = match is_covered(checkpoints, taken, young).await {
            Ok(Some(by)) => Ok(CheckpointEvent::Covered { by }),
            Ok(None) => keep.await.map(|(taken, kept)| {
                let (number, bytes) = (kept.number, kept.bytes_written);
                *self.mine.lock().unwrap_or_else(PoisonError::into_inner) = Some(number);
                CheckpointEvent::Kept { taken, number, bytes, took: started.elapsed() }
            }),
            Err(error) => Err(error),
        };
        let pause = if kept.is_ok() { self.every } else { self.every.min(PAUSE) };
        let event = kept.unwrap_or_else(CheckpointEvent::Failed);
        self.metrics.checkpoint(checkpoints.service(), &event);
        *self.due() = Some(Instant::now() + pause);
        matches!(event, CheckpointEvent::Kept { .. })
    }
}

/// When the newest checkpoint was taken, if that is so short (`young`, by its number) before `taken` that no other one is due: another process of the service may
/// keep them, too.
pub(super) async fn is_covered(
    checkpoints: &Checkpoints,
    taken: Timestamp,
    young: impl Fn(u64) -> Duration,
) -> Result<Option<Timestamp>, CheckpointError> {
    match checkpoints.newest(0).await {
        Ok(Some(newest)) => {
            let young = u64::try_from(young(newest.number()).as_millis()).unwrap_or(u64::MAX);
            let by = newest.taken();
            Ok(Some(by).filter(|by| *by <= taken && taken.since(*by) < Span::from_millis(young)))
        }
        Ok(None) => Ok(None),
        // The next one takes its place.
        Err(CheckpointError::Place(error)) if error.is_damage() => Ok(None),
        Err(error) => Err(error),
    }
}
