//! Keeps the history of orders up to date.

mod origin;
mod turn;
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

/// How long letting the turn go may take at the end.
const YIELD: Duration = Duration::from_secs(1);

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
    found: watch::Receiver<Option<HistoryError>>,
    /// Whether it was this process's turn when that was last reported.
    applies: Option<bool>,
    began: Instant,
}

/// What readers of the history see of how far it has come.
#[derive(Clone, Debug, Default)]
struct Shown {
    /// Whether what is stored was found to be of this log.
    open: bool,
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
    asked: Instant,
    expired: Option<Instant>,
    sample: Option<Sample>,
}

impl Rounds {
    fn new() -> Self {
        let now = Instant::now();
        Self { looked: None, said: now, asked: now, expired: None, sample: None }
    }

    /// Whether it is time again to ask for the turn.
    fn asks(&mut self) -> bool {
        let due = self.asked.elapsed() >= LOOK;
        if due {
            self.asked = Instant::now();
        }
        due
    }
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
        let runner = Self { plan, log, clock, observer, shown, found, applies: None, began: Instant::now() };
        (runner, view)
    }

    /// Runs until `shutdown` or a permanent error of the log; goes on after errors of the store. With a damaged log it applies no
    /// more, and what is stored is still shown.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), RunError> {
        let ended = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            error = self.follow_for_ever() => Err(error),
        };
        // Another process need not wait until this one has answered its last requests.
        let _ = tokio::time::timeout(YIELD, self.plan.store.yield_turn()).await;
        if !matches!(ended, Err(LogError::Damaged(_))) {
            return ended.map_err(RunError::from);
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
                Stop::Store(HistoryError::Foreign(why)) if !self.plan.store.is_shared() => {
                    self.rebuild(&why).await;
                }
                Stop::Store(error) => {
                    if matches!(error, HistoryError::Foreign(_)) {
                        self.shown.send_replace(Shown::default());
                    }
                    self.observer.history(&HistoryReport::Failed(&error));
                }
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
            // The process whose turn it is comes upon the damage, too. Until then the rest is of use.
            if self.plan.store.is_shared() {
                return;
            }
            tokio::time::sleep(pause.next()).await;
        }
        self.found.mark_unchanged();
        self.observer.history(&HistoryReport::Rebuilt { why });
    }

    /// Follows the log from where the store stands.
    async fn follow(&mut self, pause: &mut Backoff) -> Result<std::convert::Infallible, Stop> {
        let (progress, topics) = self.turn().await?;
        let mut fold = Fold::resume(progress).map_err(|error| HistoryError::Foreign(error.to_string()))?;
        fold.set_topics(topics);
        let mut reader = self.log.read(fold.positions()).await?;
        let mut rounds = Rounds::new();
        loop {
            if rounds.asks() && !self.plan.store.take_turn().await? {
                return Err(HistoryError::Conflict.into());
            }
            if let Some(at) = self.look(fold.progress(), &mut rounds).await? {
                fold.set_as_of(at);
            }
            self.expire(&mut rounds).await?;
            let records = tokio::select! {
                found = found(&mut self.found) => return Err(found.into()),
                records = gather(reader.as_mut()) => records?,
            };
            for at in fold.jumps(&records) {
                if self.log.bounds(at.topic, at.partition).await?.first > at.offset {
                    fold.begin_at_cut(at.partition);
                }
            }
            let positions = reader.positions();
            if !records.is_empty() || behind(&fold, &positions) {
                fold = self.apply(&fold, &records, &positions).await?;
                pause.reset();
                self.show(fold.progress());
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

    /// Shows how far the log is applied. If that is not as far as it was, nothing of what was shown before holds.
    fn show(&self, progress: &Progress) {
        self.shown.send_modify(|shown| {
            if is_before(progress, &shown.progress) {
                *shown = Shown::default();
            }
            shown.open = true;
            shown.standing.as_of = shown.standing.as_of.or(progress.as_of);
            shown.progress = progress.clone();
        });
    }

    /// Looks, now and then, where the log ends. Once everything is applied that was in the log then, returns the time.
    async fn look(&self, progress: &Progress, rounds: &mut Rounds) -> Result<Option<Timestamp>, Stop> {
        if rounds.sample.is_none() && due(rounds.looked, LOOK) {
            rounds.looked = Some(Instant::now());
            rounds.sample = Some(self.sample().await?);
        }
        let Some(Sample { at, ends }) = &rounds.sample else { return Ok(None) };
        let (at, left) = (*at, left(progress, ends));
        self.shown.send_if_modified(|shown| std::mem::replace(&mut shown.standing.lag, left) != left);
        if left == 0 {
            self.reached(at, progress);
            rounds.sample = None;
            return Ok(Some(at));
        }
        if !self.shown.borrow().standing.ready && rounds.said.elapsed() >= SAY {
            rounds.said = Instant::now();
            self.observer.history(&HistoryReport::Building { applied: applied(progress), left });
        }
        Ok(None)
    }

    /// Drops orders, now and then, that are older than they are kept.
    async fn expire(&self, rounds: &mut Rounds) -> Result<(), Stop> {
        let Some(retention) = self.plan.retention else { return Ok(()) };
        if !due(rounds.expired, EXPIRE) {
            return Ok(());
        }
        let orders = self.plan.store.expire(self.clock.now() - retention, EXPIRED_MOST).await?;
        // If there were as many as may be dropped at once, there are more.
        if orders < EXPIRED_MOST {
            rounds.expired = Some(Instant::now());
        }
        if orders > 0 {
            self.observer.history(&HistoryReport::Expired { orders });
        }
        Ok(())
    }

    /// Everything is applied that was in the log at this time.
    fn reached(&self, at: Timestamp, progress: &Progress) {
        let was_ready = self.shown.borrow().standing.ready;
        self.shown.send_modify(|shown| {
            shown.standing = Standing { as_of: Some(at), ready: true, lag: 0 };
        });
        if !was_ready {
            let (applied, took) = (applied(progress), self.began.elapsed());
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

/// What a reader finds wrong with what is stored.
async fn found(finds: &mut watch::Receiver<Option<HistoryError>>) -> HistoryError {
    loop {
        if finds.changed().await.is_err() {
            // Nobody reads it any more.
            return std::future::pending().await;
        }
        if let Some(error) = finds.borrow_and_update().clone() {
            return error;
        }
    }
}

fn due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// Whether less of a partition is applied than was.
fn is_before(progress: &Progress, shown: &Progress) -> bool {
    let mut reached = shown.partitions.iter();
    reached.any(|((topic, partition), before)| progress.next(*topic, *partition) < before.next)
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
