//! What driving a machine needs in every phase: steps made durable, tries repeated, callers answered.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use kbnt_application::intact::Bounds;
use kbnt_application::machine::Halt;
use kbnt_application::ports::{Clock, ErrorClass, LogError, LogReader, Mark, Stage};
use kbnt_application::{Append, Machine, Position, Service};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::batch::Batch;
use super::effects::Effects;
use super::handle::{HandleEnd, Job, Progress, Reply};
use super::runner::{RunError, RunnerParts};

/// How long a batch in hand may still try to become durable once the runner was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How long an append may take before the log counts as away.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is appended at once at most, in bytes, give or take a record.
const PIECE: usize = 8 << 20;

/// Why a phase ended.
#[derive(Debug)]
pub(super) enum End {
    /// The runner was told to stop.
    Told,
    /// It cannot go on.
    Failed(RunError),
}

impl<E: Into<RunError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What connects a runner with the world.
pub(super) struct Link {
    pub(super) service: Service,
    pub(super) parts: RunnerParts,
    pub(super) shutdown: CancellationToken,
    progress: watch::Sender<Progress>,
}

/// A machine and all it is driven with.
pub(super) struct Core<M> {
    pub(super) machine: M,
    pub(super) link: Link,
    pub(super) effects: Effects,
    pub(super) jobs: mpsc::Receiver<Job<M>>,
}

/// What a batch wrote, now durable.
pub(super) struct Settled {
    /// What and where, in the order of writing.
    pub(super) written: Vec<Mark>,
    /// Callers to be answered, and where their records lie.
    pub(super) replies: Vec<(Vec<Position>, Reply)>,
}

impl<M: Machine> Core<M> {
    pub(super) fn new(
        machine: M,
        parts: RunnerParts,
        end: HandleEnd<M>,
        shutdown: CancellationToken,
    ) -> Self {
        let service = machine.service();
        let effects = Effects::new(service, &parts);
        let link = Link { service, parts, shutdown, progress: end.progress };
        Self { machine, link, effects, jobs: end.jobs }
    }

    /// Ends the run if the machine must not write any more.
    pub(super) fn check(&self) -> Result<(), End> {
        let Some(halt) = self.machine.halted() else { return Ok(()) };
        self.link.parts.observer.halted(self.link.service, &halt);
        Err(match halt {
            Halt::Fenced(writer) => RunError::Fenced(writer),
            Halt::Broken(what) => RunError::Broken(what),
        }
        .into())
    }

    /// Makes what `batch` wrote durable, then starts its effects.
    pub(super) async fn settle(&mut self, mut batch: Batch<'_>) -> Result<Settled, End> {
        self.check()?;
        let steps = batch.elapsed();
        let started = Instant::now();
        let positions =
            if batch.appends.is_empty() { Vec::new() } else { self.append(&mut batch.appends).await? };
        self.machine.durable();
        self.effects.start(std::mem::take(&mut batch.effects));
        let Link { service, parts, .. } = &self.link;
        for (append, position) in batch.appends.iter().zip(&positions) {
            parts.observer.appended(*service, append, *position);
        }
        parts.observer.batch(*service, batch.inputs, steps, started.elapsed());
        let replies = batch.replies(&positions);
        let mark = |(append, at): (&Append, Position)| Mark { at, id: append.message.id };
        let written = batch.appends.iter().zip(positions).map(mark).collect();
        Ok(Settled { written, replies })
    }

    /// Appends; what the log refuses for its size, as short as the machine can have it.
    async fn append(&mut self, appends: &mut [Append]) -> Result<Vec<Position>, End> {
        loop {
            let written = self.link.append(appends).await;
            let too_large = matches!(&written, Err(End::Failed(RunError::Log(LogError::TooLarge(_)))));
            if !(too_large && self.shorten(appends)) {
                return written;
            }
        }
    }

    /// Shortens what can be shortened; whether anything could.
    fn shorten(&self, appends: &mut [Append]) -> bool {
        let mut any = false;
        for append in appends {
            if let Some(shorter) = self.machine.shortened(append) {
                *append = shorter;
                any = true;
            }
        }
        any
    }
}

/// `batch` in pieces that a log takes at once.
fn pieces(batch: &[Append]) -> impl Iterator<Item = &[Append]> {
    let mut weight = 0;
    batch.chunk_by(move |before, _| {
        weight += before.weight();
        let together = weight < PIECE;
        if !together {
            weight = 0;
        }
        together
    })
}

impl Link {
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.parts.clock)
    }

    /// Makes known whether calls are answered.
    pub(super) fn set_ready(&self, ready: bool) {
        self.progress.send_if_modified(|progress| std::mem::replace(&mut progress.ready, ready) != ready);
    }

    /// Makes known that it waits for its turn.
    pub(super) fn stand_by(&self) {
        self.progress.send_modify(|progress| progress.standing_by = true);
    }

    /// Makes known that it is its turn, and that calls are answered.
    pub(super) fn at_work(&self) {
        self.progress.send_modify(|progress| (progress.ready, progress.standing_by) = (true, false));
    }

    /// Makes known that the machine's state may have changed.
    pub(super) fn changed(&self) {
        self.progress.send_modify(|progress| progress.version += 1);
    }

    /// Appends, however long the log is away; not much longer than the runner may live.
    async fn append(&self, batch: &[Append]) -> Result<Vec<Position>, End> {
        let mut positions = Vec::with_capacity(batch.len());
        for piece in pieces(batch) {
            positions.extend(self.append_piece(piece).await?);
        }
        Ok(positions)
    }

    async fn append_piece(&self, batch: &[Append]) -> Result<Vec<Position>, End> {
        let mut tries = pin!(self.persist(Stage::Append, || self.parts.log.append(batch.to_vec())));
        let mut grace = pin!(async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(GRACE).await;
        });
        loop {
            tokio::select! {
                written = &mut tries => return written.map_err(End::from),
                () = &mut grace => return Err(End::Told),
                () = tokio::time::sleep(PATIENCE) => {
                    let error = LogError::Unavailable(format!("nothing acknowledged for {PATIENCE:?}"));
                    self.unavailable(Stage::Append, &error);
                }
            }
        }
    }

    /// Tries until it works or is refused for good.
    async fn persist<T, F>(&self, stage: Stage, mut attempt: impl FnMut() -> F) -> Result<T, LogError>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let mut pause = Backoff::new();
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) if error.class() == ErrorClass::Permanent => return Err(error),
                Err(error) => self.unavailable(stage, &error),
            }
            tokio::time::sleep(pause.next()).await;
        }
    }

    /// Makes known that the log does not answer.
    pub(super) fn unavailable(&self, stage: Stage, error: &LogError) {
        self.parts.observer.retrying(self.service, stage, error);
        self.set_ready(false);
    }

    /// Tries until it works, is refused for good, or the runner is told to stop.
    pub(super) async fn until_told<T, F>(&self, stage: Stage, attempt: impl FnMut() -> F) -> Result<T, End>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        tokio::select! {
            () = self.shutdown.cancelled() => Err(End::Told),
            done = self.persist(stage, attempt) => done.map_err(End::from),
        }
    }

    /// Where these partitions end now.
    pub(super) async fn ends(&self, of: Vec<Position>) -> Result<Vec<Position>, End> {
        let end = |position: Position| async move {
            let bounds = || self.parts.log.bounds(position.topic, position.partition);
            let Bounds { end, .. } = self.until_told(Stage::Read, bounds).await?;
            Ok(Position { offset: end, ..position })
        };
        try_join_all(of.into_iter().map(end)).await
    }

    /// Begins to read.
    pub(super) async fn open(&self, from: &[Position]) -> Result<Box<dyn LogReader>, End> {
        self.until_told(Stage::Read, || self.parts.log.read(from.to_vec())).await
    }
}
