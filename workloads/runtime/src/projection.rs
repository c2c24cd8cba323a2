//! Keeps a read model up to date.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use kbnt_application::fence::TermFence;
use kbnt_application::intact::Damage;
use kbnt_application::ports::{
    Changes, Clock, ErrorClass, EventLog, Fetched, LogError, LogReader, ReadModel,
};
use kbnt_application::{Position, Projection, Topic};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::handle::Watched;
use super::runner::RunError;
use super::shell::{MOST, WAIT};

/// Folds a read model from the log, from the first record of its topics on, or from the first that it looks back to.
pub struct ProjectionRunner<P> {
    state: Arc<RwLock<P>>,
    log: Arc<dyn EventLog>,
    folded: watch::Sender<Folded>,
    changed: watch::Sender<u64>,
    fence: TermFence,
    clock: Option<Arc<dyn Clock>>,
}

/// How far the log is folded.
#[derive(Clone, Debug, Default)]
struct Folded {
    /// The next offset of each partition.
    next: BTreeMap<(Topic, u32), u64>,
    /// Everything that existed at the start is folded.
    ready: bool,
    /// Damage of the log: nothing is folded any more.
    damage: Option<Damage>,
}

/// The present state of a read model. Cheap to clone.
pub struct View<P> {
    state: Arc<RwLock<P>>,
    folded: watch::Receiver<Folded>,
    changed: watch::Receiver<u64>,
}

impl<P> Clone for View<P> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), folded: self.folded.clone(), changed: self.changed.clone() }
    }
}

impl<P: Projection> View<P> {
    /// Reads the read model; `look` must return at once.
    pub fn read<R>(&self, look: impl FnOnce(&P) -> R) -> R {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns once the record at `position`, in one of the read model's topics, is folded, or the runner has
    /// ended.
    pub async fn wait_for(&self, position: Position) {
        let mut folded = self.folded.clone();
        let place = (position.topic, position.partition);
        let is_folded = |folded: &Folded| folded.next.get(&place).is_some_and(|next| *next > position.offset);
        // An error means that the runner has ended: nothing more will be folded.
        let _ = folded.wait_for(is_folded).await;
    }

    /// A counter that grows whenever records are folded.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// Whether everything is folded that was in the log when the runner started.
    pub fn is_ready(&self) -> bool {
        self.folded.borrow().ready
    }

    /// Damage of the log, if that is why nothing is folded any more.
    pub fn damage(&self) -> Option<Damage> {
        self.folded.borrow().damage
    }
}

impl<P: Projection> ReadModel<P> for View<P> {
    fn state(&self) -> RwLockReadGuard<'_, P> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ready(&self) -> bool {
        Self::is_ready(self)
    }

    fn damage(&self) -> Option<Damage> {
        Self::damage(self)
    }

    fn changes(&self) -> Box<dyn Changes> {
        Watched::from_now(self.changed())
    }
}

impl<P: Projection> ProjectionRunner<P> {
    /// A runner that folds `projection`, and a view of it.
    pub fn new(projection: P, log: Arc<dyn EventLog>) -> (Self, View<P>) {
        let state = Arc::new(RwLock::new(projection));
        let (folded, folded_seen) = watch::channel(Folded::default());
        let (changed, changed_seen) = watch::channel(0);
        let view = View { state: Arc::clone(&state), folded: folded_seen, changed: changed_seen };
        (Self { state, log, folded, changed, fence: TermFence::default(), clock: None }, view)
    }

    /// Gives the read model a clock.
    #[must_use]
    pub fn by_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// Runs until `shutdown` or a permanent error; retries while the log is unavailable. With a damaged log
    /// it folds no more, and lives on only to report that.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), RunError> {
        let error = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            error = self.fold_for_ever() => error,
        };
        let LogError::Damaged(damage) = error else { return Err(error.into()) };
        self.folded.send_modify(|folded| (folded.ready, folded.damage) = (false, Some(damage)));
        shutdown.cancelled().await;
        Ok(())
    }

    /// Ends only with a permanent error.
    async fn fold_for_ever(&mut self) -> LogError {
        let mut pause = Backoff::new();
        let mut opened: Option<(Box<dyn LogReader>, Vec<Position>)> = None;
        loop {
            let outcome = match &mut opened {
                None => self.open().await.map(|reader| {
                    opened = Some(reader);
                }),
                Some((reader, ends)) => reader.next(MOST, WAIT).await.map(|records| {
                    self.apply(&records, reader.as_ref(), ends);
                }),
            };
            match outcome {
                Ok(()) => pause.reset(),
                Err(error) if error.class() == ErrorClass::Permanent => return error,
                Err(_) => tokio::time::sleep(pause.next()).await,
            }
        }
    }

    async fn open(&mut self) -> Result<(Box<dyn LogReader>, Vec<Position>), LogError> {
        let (topics, looks_back) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.topics(), state.looks_back())
        };
        let (mut from, mut ends) = (Vec::new(), Vec::new());
        for topic in topics.iter().copied() {
            for partition in 0..topic.partitions() {
                let end = self.log.bounds(topic, partition).await?.end;
                let offset = looks_back.map_or(0, |records| end.saturating_sub(records));
                if offset > 0 && topic == Topic::InventoryEvents {
                    self.fence.begin_amid(partition);
                }
                from.push(Position { topic, partition, offset });
                ends.push(Position { topic, partition, offset: end });
            }
        }
        let reader = self.log.read(from.clone()).await?;
        self.state.write().unwrap_or_else(PoisonError::into_inner).begin(&from);
        Ok((reader, ends))
    }

    fn apply(&mut self, records: &[Fetched], reader: &dyn LogReader, ends: &[Position]) {
        if !records.is_empty() {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(clock) = &self.clock {
                state.set_clock(clock.now());
            }
            for fetched in records {
                // The machines that read the same topics count unreadable records.
                let Fetched::Record(record) = fetched else { continue };
                if record.at.topic != Topic::InventoryEvents || self.fence.admits(record) {
                    state.apply(record);
                }
            }
        }
        let positions = reader.positions();
        self.folded.send_if_modified(|folded| {
            let mut modified = false;
            for at in &positions {
                let next = folded.next.entry((at.topic, at.partition)).or_default();
                modified |= *next != at.offset;
                *next = at.offset;
            }
            let reached = |end: &Position| {
                folded.next.get(&(end.topic, end.partition)).is_some_and(|next| *next >= end.offset)
            };
            let ready = folded.ready || ends.iter().all(reached);
            modified |= ready != folded.ready;
            folded.ready = ready;
            modified
        });
        if !records.is_empty() {
            self.changed.send_modify(|version| *version += 1);
        }
    }
}
