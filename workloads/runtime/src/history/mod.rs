//! Keeps the history of orders up to date.

mod origin;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use kbnt_application::Position;
use kbnt_application::history::{Fold, Progress};
use kbnt_application::ports::{
    Clock, ErrorClass, EventLog, Fetched, HistoryError, HistoryReport, HistoryStore, LogError, LogReader,
    Observer, Standing,
};
use kbnt_domain::{Span, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::runner::RunError;
use super::shell::{MOST, WAIT};

pub use view::HistoryView;

/// Records of one batch: a larger one writes each order less often.
const RECORDS_MOST: usize = 4_096;

/// Bytes of one batch, roughly.
const BYTES_MOST: usize = 8 << 20;

/// How often to look where the log ends.
const LOOK: Duration = Duration::from_secs(1);

/// How often to say how far the building has come.
const SAY: Duration = Duration::from_secs(10);

/// How often to look for orders that are older than they are kept.
const EXPIRE: Duration = Duration::from_secs(10);

/// Orders that are dropped at once: as many as a batch can add, so that a history that is built anew does not first grow to all
/// that the log has.
const EXPIRED_MOST: usize = RECORDS_MOST;

/// Where the history is stored, and for how long.
#[derive(Clone)]
pub struct HistoryPlan {
    /// The store.
    pub store: Arc<dyn HistoryStore>,
    /// How long an order is kept after it was placed, once it has ended; `None` is for ever.
    pub retention: Option<Span>,
}

/// Applies the log to the history, from where the store stands.
pub struct HistoryRunner {
    plan: HistoryPlan,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    shown: watch::Sender<Shown>,
    /// What a reader found wrong with what is stored.
    found: watch::Receiver<Option<String>>,
    began: Instant,
}

/// What readers of the history see of how far it has come.
#[derive(Clone, Debug, Default)]
struct Shown {
    standing: Standing,
    progress: Progress,
}

/// Why the log is not followed any more.
enum Stop {
    Log(LogError),
    Store(HistoryError),
}

impl From<LogError> for Stop {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl From<HistoryError> for Stop {
    fn from(error: HistoryError) -> Self {
        Self::Store(error)
    }
}

/// Where the log ended.
struct Sample {
    at: Timestamp,
    ends: Vec<Position>,
}

/// What is done now and then.
struct Rounds {
    looked: Option<Instant>,
    said: Instant,
    expired: Option<Instant>,
    sample: Option<Sample>,
}

impl HistoryRunner {
    /// A runner that keeps the store of `plan` up to date with `log`, and a view of it.
    pub fn new(
        plan: HistoryPlan,
        log: Arc<dyn EventLog>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> (Self, HistoryView) {
        let (shown, seen) = watch::channel(Shown::default());
        let (finds, found) = watch::channel(None);
        let view = HistoryView::new(Arc::clone(&plan.store), seen, finds);
        (Self { plan, log, clock, observer, shown, found, began: Instant::now() }, view)
    }

    /// Runs until `shutdown` or a permanent error of the log; goes on after errors of the store. With a damaged log it applies no
    /// more, and what is stored is still shown.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), RunError> {
        let error = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            error = self.follow_for_ever() => error,
        };
        if !matches!(error, LogError::Damaged(_)) {
            return Err(error.into());
        }
        self.shown.send_modify(|shown| shown.standing.ready = false);
        shutdown.cancelled().await;
        Ok(())
    }

    /// Ends only with a permanent error of the log.
    async fn follow_for_ever(&mut self) -> LogError {
        let mut pause = Backoff::new();
        loop {
            let Err(stop) = self.follow(&mut pause).await;
            match stop {
                Stop::Log(error) if error.class() == ErrorClass::Permanent => return error,
                Stop::Store(HistoryError::Damaged(why)) => self.rebuild(&why).await,
                Stop::Store(error) => self.observer.history(&HistoryReport::Failed(&error)),
                Stop::Log(_) => {}
            }
            tokio::time::sleep(pause.next()).await;
        }
    }

    /// Sets aside what is stored. The log says what is true.
    async fn rebuild(&mut self, why: &str) {
        self.shown.send_replace(Shown::default());
        self.began = Instant::now();
        let mut pause = Backoff::new();
        while let Err(error) = self.plan.store.reset().await {
            self.observer.history(&HistoryReport::Failed(&error));
            tokio::time::sleep(pause.next()).await;
        }
        self.found.mark_unchanged();
        self.observer.history(&HistoryReport::Rebuilt { why });
    }

    /// Follows the log from where the store stands.
    async fn follow(&mut self, pause: &mut Backoff) -> Result<std::convert::Infallible, Stop> {
        let progress = self.plan.store.progress().await?;
        let topics = origin::check(self.log.as_ref(), &progress).await?;
        let mut fold = Fold::resume(progress).map_err(|error| HistoryError::Damaged(error.to_string()))?;
        fold.set_topics(topics);
        let applied = applied(fold.progress());
        if applied > 0 && self.shown.borrow().progress.revision == 0 {
            self.observer.history(&HistoryReport::Resumed { applied });
        }
        self.show(&fold);
        let mut reader = self.log.read(fold.positions()).await?;
        let now = Instant::now();
        let mut rounds = Rounds { looked: None, said: now, expired: None, sample: None };
        loop {
            self.go_round(&mut fold, &mut rounds).await?;
            let records = tokio::select! {
                Ok(()) = self.found.changed() => {
                    let why = self.found.borrow_and_update().clone().unwrap_or_default();
                    return Err(HistoryError::Damaged(why).into());
                }
                records = gather(reader.as_mut()) => records?,
            };
            let positions = reader.positions();
            if !records.is_empty() || behind(&fold, &positions) {
                fold = self.apply(&fold, &records, &positions).await?;
                pause.reset();
                self.show(&fold);
            }
        }
    }

    /// Applies a batch. On an error the store's progress says what became of it.
    async fn apply(&self, fold: &Fold, records: &[Fetched], positions: &[Position]) -> Result<Fold, Stop> {
        let began = Instant::now();
        let stored = self.plan.store.stored(fold.orders(records)).await?;
        let (batch, next) = fold.batch(records, positions, stored);
        self.plan.store.apply(batch).await?;
        self.observer.history(&HistoryReport::Applied { records: records.len(), took: began.elapsed() });
        Ok(next)
    }

    fn show(&self, fold: &Fold) {
        self.shown.send_modify(|shown| {
            shown.progress = fold.progress().clone();
            shown.standing.as_of = fold.progress().as_of;
        });
    }

    /// What is done between two batches.
    async fn go_round(&self, fold: &mut Fold, rounds: &mut Rounds) -> Result<(), Stop> {
        let due = |last: Option<Instant>, every| last.is_none_or(|last| last.elapsed() >= every);
        if rounds.sample.is_none() && due(rounds.looked, LOOK) {
            rounds.looked = Some(Instant::now());
            rounds.sample = Some(self.sample().await?);
        }
        if let Some(Sample { at, ends }) = &rounds.sample {
            let left = left(fold.progress(), ends);
            self.shown.send_if_modified(|shown| std::mem::replace(&mut shown.standing.lag, left) != left);
            if left == 0 {
                fold.set_as_of(*at);
                self.reached(*at, fold);
                rounds.sample = None;
            } else if !self.shown.borrow().standing.ready && rounds.said.elapsed() >= SAY {
                rounds.said = Instant::now();
                let applied = applied(fold.progress());
                self.observer.history(&HistoryReport::Building { applied, left });
            }
        }
        if let Some(retention) = self.plan.retention
            && due(rounds.expired, EXPIRE)
        {
            let orders = self.plan.store.expire(self.clock.now() - retention, EXPIRED_MOST).await?;
            // If there were as many as may be dropped at once, there are more.
            if orders < EXPIRED_MOST {
                rounds.expired = Some(Instant::now());
            }
            if orders > 0 {
                self.observer.history(&HistoryReport::Expired { orders });
            }
        }
        Ok(())
    }

    /// Everything is applied that was in the log at this time.
    fn reached(&self, at: Timestamp, fold: &Fold) {
        let was_ready = self.shown.borrow().standing.ready;
        self.shown.send_modify(|shown| {
            shown.standing = Standing { as_of: Some(at), ready: true, lag: 0 };
        });
        if !was_ready {
            let (applied, took) = (applied(fold.progress()), self.began.elapsed());
            self.observer.history(&HistoryReport::CaughtUp { applied, took });
        }
    }

    /// Where the log ends now.
    async fn sample(&self) -> Result<Sample, LogError> {
        let at = self.clock.now();
        let ends = Fold::default().positions().into_iter().map(|position| async move {
            let Position { topic, partition, .. } = position;
            let end = self.log.bounds(topic, partition).await?.end;
            Ok::<_, LogError>(Position { offset: end, ..position })
        });
        Ok(Sample { at, ends: futures::future::try_join_all(ends).await? })
    }
}

/// The next records: as many as there are, up to the bounds of a batch. What was gathered when the caller stops waiting is read again
/// by another reader.
async fn gather(reader: &mut dyn LogReader) -> Result<Vec<Fetched>, LogError> {
    let mut records = reader.next(MOST, WAIT).await?;
    loop {
        let bytes: usize = records.iter().map(weight).sum();
        if records.is_empty() || records.len() > RECORDS_MOST - MOST || bytes >= BYTES_MOST {
            return Ok(records);
        }
        match reader.next(MOST, Span::default()).now_or_never() {
            Some(Ok(more)) if !more.is_empty() => records.extend(more),
            // The next batch meets it again.
            _ => return Ok(records),
        }
    }
}

fn weight(fetched: &Fetched) -> usize {
    match fetched {
        Fetched::Record(record) => record.message.weight(),
        Fetched::Unreadable(record) => record.raw.size(),
    }
}

/// Records that are applied.
fn applied(progress: &Progress) -> u64 {
    progress.partitions.values().map(|reached| reached.next).sum()
}

/// Records before `ends` that are not applied.
fn left(progress: &Progress, ends: &[Position]) -> u64 {
    let left = |end: &Position| end.offset.saturating_sub(progress.next(end.topic, end.partition));
    ends.iter().map(left).sum()
}

/// Whether the reader has passed what a log holds that is no record.
fn behind(fold: &Fold, positions: &[Position]) -> bool {
    positions.iter().any(|at| fold.progress().next(at.topic, at.partition) < at.offset)
}
