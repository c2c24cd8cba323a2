//! Delivers events to a driver and executes its commands.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::{OptionFuture, try_join_all};
use kbnt_application::driver::{Command, Driver, Event, Failure, Reader, Setup, Wants};
use kbnt_application::intact::Bounds;
use kbnt_application::machine::ImageOf;
use kbnt_application::ports::{ErrorClass, Fetched, GroupBatch, Leadership, LogError, Stage};
use kbnt_application::{Machine, Position, Service};
use kbnt_domain::Span;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::append::Unwritten;
use super::backoff::Backoff;
use super::effects::{Effects, Ended};
use super::handle::{HandleEnd, Job, Progress, Reply};
use super::lag::Lag;
use super::reader::{Paced, Partitions, Source};
use super::runner::{RunError, RunnerParts};
use super::snapshots::{Kept, SnapshotPlan};

/// The most records of one read.
pub(super) const MOST: usize = 1_000;

/// How long a read waits for records.
pub(super) const WAIT: Span = Span::from_millis(500);

type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The environment of a driver in this process.
pub(super) struct Shell<M: Machine> {
    pub(super) parts: RunnerParts,
    pub(super) shutdown: CancellationToken,
    driver: Driver<M, Reply>,
    service: Service,
    started: Instant,
    jobs: mpsc::Receiver<Job<M>>,
    progress: watch::Sender<Progress>,
    leadership: Option<Arc<dyn Leadership>>,
    snapshots: Option<SnapshotPlan<ImageOf<M>>>,
    output: Option<Paced<Partitions>>,
    scan: Option<Paced<Partitions>>,
    source: Option<Paced<Source>>,
    effects: Effects,
    /// Its turn to write, while it waits for it.
    turn: Option<Later<Result<(), String>>>,
    /// A snapshot that is being stored.
    keeping: Option<Later<Kept>>,
    lag: Lag,
}

/// An event that wakes the driver.
enum Wake<M> {
    Stop,
    Call(Job<M>),
    Ended(Ended),
    Read(Reader, Result<Vec<Fetched>, LogError>),
    Input(Result<GroupBatch, LogError>),
    Turn(Result<(), String>),
    Kept(Kept),
    Time,
}

impl<M: Machine> Shell<M> {
    pub(super) fn new(
        machine: M,
        parts: RunnerParts,
        end: HandleEnd<M>,
        leadership: Option<Arc<dyn Leadership>>,
        snapshots: Option<SnapshotPlan<ImageOf<M>>>,
        shutdown: CancellationToken,
    ) -> Self {
        let (service, started, performer) = (machine.service(), Instant::now(), Arc::clone(&parts.effects));
        let setup = Setup {
            clock: Arc::clone(&parts.clock),
            stopwatch: Arc::new(move || started.elapsed()),
            observer: Arc::clone(&parts.observer),
            limits: kbnt_application::driver::Limits { pace: parts.log.pace(), ..Default::default() },
            takes_place: Box::new(move |effect| performer.takes_place(effect)),
            snapshots: snapshots.as_ref().map(|plan| plan.every),
            led: leadership.is_some(),
        };
        Self {
            driver: Driver::new(machine, setup),
            parts,
            shutdown,
            service,
            started,
            jobs: end.jobs,
            progress: end.progress,
            leadership,
            snapshots,
            output: None,
            scan: None,
            source: None,
            effects: Effects::default(),
            turn: None,
            keeping: None,
            lag: Lag::new(),
        }
    }

    /// Runs until the driver has ended.
    pub(super) async fn run(mut self) -> Result<(), RunError> {
        self.driver.step(Event::Begin);
        loop {
            if let Some(outcome) = self.carry().await {
                return outcome.map_err(RunError::from);
            }
            self.publish();
            self.rest().await;
            let wants = self.driver.wants();
            let wake = self.wake(&wants).await;
            self.deliver(&wants, wake)?;
        }
    }

    /// Publishes the progress of the driver.
    fn publish(&self) {
        let status = self.driver.status();
        self.progress.send_if_modified(|progress| {
            let now = Progress {
                ready: status.ready,
                standing_by: status.standing_by,
                version: status.version,
                ..*progress
            };
            std::mem::replace(progress, now) != now
        });
    }

    /// The log does not answer for now.
    pub(super) fn unavailable(&mut self, stage: Stage, error: &LogError) {
        self.driver.step(Event::Unavailable(stage, error));
        self.publish();
    }

    /// If a batch has just been written, waits for more input. A call that comes after a pause is not
    /// delayed.
    async fn rest(&mut self) {
        let Some(until) = self.driver.wants().rest else { return };
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = sleep_until((self.started + until).into()) => {}
        }
    }

    async fn wake(&mut self, wants: &Wants) -> Wake<M> {
        let output = OptionFuture::from(
            self.output.as_mut().filter(|_| wants.output).map(|r| r.next(MOST, wants.wait)),
        );
        let scan =
            OptionFuture::from(self.scan.as_mut().filter(|_| wants.scan).map(|r| r.next(MOST, wants.wait)));
        let source = self.source.as_mut().zip(wants.input);
        let input = OptionFuture::from(source.map(|(source, most)| source.next(most, wants.wait)));
        let turn = OptionFuture::from(self.turn.as_mut());
        let kept = OptionFuture::from(self.keeping.as_mut());
        let time = OptionFuture::from(wants.wake.map(|at| sleep_until((self.started + at).into())));
        let stop = !self.driver.is_stopping();
        tokio::select! {
            () = self.shutdown.cancelled(), if stop => Wake::Stop,
            Some(job) = self.jobs.recv(), if wants.calls > 0 => Wake::Call(job),
            ended = self.effects.ended(), if wants.outcomes => Wake::Ended(ended),
            Some(read) = output => Wake::Read(Reader::Output, read),
            Some(read) = scan => Wake::Read(Reader::Scan, read),
            Some(read) = input => Wake::Input(read),
            Some(turn) = turn => Wake::Turn(turn),
            Some(kept) = kept => Wake::Kept(kept),
            Some(()) = time => Wake::Time,
            else => std::future::pending().await,
        }
    }

    /// Delivers the event that woke the driver, and everything else that is ready.
    fn deliver(&mut self, wants: &Wants, wake: Wake<M>) -> Result<(), RunError> {
        let mut input = None;
        match wake {
            Wake::Stop => {
                self.driver.step(Event::Stop);
                return Ok(());
            }
            Wake::Call(job) => self.driver.step(Event::Call(job)),
            Wake::Ended((attempt, outcome)) => self.driver.step(Event::Outcome(attempt, outcome)),
            Wake::Read(reader, read) => self.read(reader, read),
            Wake::Input(read) => input = Some(read),
            Wake::Turn(turn) => {
                self.turn = None;
                turn.map_err(RunError::Leadership)?;
                self.driver.step(Event::Turn);
            }
            Wake::Kept((outcome, took)) => {
                self.keeping = None;
                self.driver.step(Event::Kept(outcome, took));
            }
            Wake::Time => {}
        }
        // Only a working machine accepts several things at once.
        if wants.wake.is_some() {
            self.deliver_ready(input);
        }
        Ok(())
    }

    /// Delivers what is ready already, as far as the driver accepts it; then the driver continues.
    fn deliver_ready(&mut self, mut input: Option<Result<GroupBatch, LogError>>) {
        if self.driver.wants().output
            && let Some(output) = &mut self.output
            && let Some(read) = output.next(MOST, Span::default()).now_or_never()
        {
            self.read(Reader::Output, read);
        }
        while self.driver.wants().outcomes
            && let Some((attempt, outcome)) = self.effects.try_ended()
        {
            self.driver.step(Event::Outcome(attempt, outcome));
        }
        for _ in 0..self.driver.wants().calls {
            let Ok(job) = self.jobs.try_recv() else { break };
            self.driver.step(Event::Call(job));
        }
        if input.is_none()
            && let (Some(source), Some(most)) = (&mut self.source, self.driver.wants().input)
        {
            input = source.next(most, Span::default()).now_or_never();
        }
        match input {
            Some(Ok(GroupBatch::Records(records))) => {
                self.driver.step(Event::Records(Reader::Input, &records, &[]));
            }
            Some(Ok(GroupBatch::Assigned(assigned))) => self.driver.step(Event::Assigned(assigned)),
            Some(Ok(GroupBatch::Revoked(revoked))) => self.driver.step(Event::Revoked(revoked)),
            Some(Err(error)) => self.failed(error),
            None => {}
        }
        self.driver.step(Event::Flush);
        let Self { lag, driver, parts, service, .. } = self;
        lag.measure(*service, parts, || driver.machine().stuck(), || driver.positions());
    }

    fn read(&mut self, reader: Reader, read: Result<Vec<Fetched>, LogError>) {
        let positions = match reader {
            Reader::Output => self.output.as_ref(),
            Reader::Scan => self.scan.as_ref(),
            Reader::Input => None,
        };
        let positions = positions.map(Paced::positions).unwrap_or_default();
        match read {
            Ok(records) => self.driver.step(Event::Records(reader, &records, &positions)),
            Err(error) => self.failed(error),
        }
    }

    /// A read has failed, for now or permanently.
    fn failed(&mut self, error: LogError) {
        if error.class() == ErrorClass::Permanent {
            self.driver.step(Event::Failed(error));
        } else {
            self.unavailable(Stage::Read, &error);
        }
    }

    /// Executes the driver's commands. Returns its end, if it has come to it.
    async fn carry(&mut self) -> Option<Result<(), Failure>> {
        while let Some(command) = self.driver.next_command() {
            match command {
                Command::Finish(outcome) => {
                    self.publish();
                    return Some(outcome);
                }
                Command::Start(attempt, effect) => {
                    self.effects.begin(self.service, &self.parts, attempt, effect);
                }
                Command::Answer(reply, positions) => reply(Ok(positions)),
                Command::Refuse(reply, failure) => reply(Err(RunError::from(failure).of_call())),
                Command::Close(reader) => self.close(reader),
                Command::Keep(snapshot) => {
                    self.keeping = self.snapshots.as_ref().map(|plan| plan.keep(snapshot).boxed());
                }
                Command::AwaitTurn => {
                    let leadership = self.leadership.clone();
                    self.turn =
                        leadership.map(|leadership| async move { leadership.acquired().await }.boxed());
                }
                request => {
                    self.publish();
                    self.answer(request).await;
                }
            }
        }
        None
    }

    fn close(&mut self, reader: Reader) {
        match reader {
            Reader::Output => self.output = None,
            Reader::Scan => self.scan = None,
            Reader::Input => self.source = None,
        }
    }

    /// Executes a command for which the driver waits.
    async fn answer(&mut self, request: Command<M, Reply>) {
        match request {
            Command::Append(batch) => match self.append(&batch).await {
                Ok(positions) => self.driver.step(Event::Appended(&positions)),
                Err(Unwritten::GivenUp) => {
                    self.driver.step(Event::Stop);
                    self.driver.step(Event::GivenUp);
                }
                Err(Unwritten::Refused(error @ LogError::TooLarge(_))) => {
                    self.driver.step(Event::TooLarge(error));
                }
                Err(Unwritten::Refused(error)) => self.driver.step(Event::Failed(error)),
            },
            Command::Commit(commits) => self.commit(commits.to_vec()).await,
            Command::Leave => match self.source.take() {
                Some(source) => match source.leave().await {
                    Ok(()) => self.driver.step(Event::Left),
                    Err(error) => self.driver.step(Event::Failed(error)),
                },
                None => self.driver.step(Event::Left),
            },
            Command::Load(before) => {
                let loaded = match &self.snapshots {
                    Some(plan) => plan.load(before).await,
                    None => None,
                };
                self.driver.step(Event::Loaded(loaded.map(|loaded| loaded.map(Box::new))));
            }
            Command::Bounds(of) => {
                if let Some(kept) = self.bounds(&of).await {
                    self.driver.step(Event::Bounds(&kept));
                }
            }
            Command::Open(reader, from) => self.open(reader, from).await,
            Command::Join => {
                let (log, service) = (Arc::clone(&self.parts.log), self.service);
                if let Some(member) = self.until_stopped(|| log.join(service)).await {
                    self.source = Some(Paced::new(Source::Group(member)));
                    self.driver.step(Event::Joined);
                }
            }
            Command::Contradict(topic, fault) => {
                let log = Arc::clone(&self.parts.log);
                let ask = async || match log.contradicted(topic, fault).await {
                    Err(error) if error.class() != ErrorClass::Permanent => Err(error),
                    outcome => Ok(outcome),
                };
                if let Some(outcome) = self.until_stopped(ask).await {
                    self.driver.step(Event::Contradicted(outcome));
                }
            }
            _ => {}
        }
    }

    async fn commit(&mut self, commits: Vec<kbnt_application::ports::Commit>) {
        let outcome = match &mut self.source {
            Some(source) => source.commit(commits).await,
            None => Ok(()),
        };
        match outcome {
            Err(error) if error.class() == ErrorClass::Permanent => self.driver.step(Event::Failed(error)),
            outcome => self.driver.step(Event::Committed(outcome)),
        }
    }

    async fn open(&mut self, reader: Reader, from: Vec<Position>) {
        let log = Arc::clone(&self.parts.log);
        // Inputs may be missing for as long as nobody writes them, and their ends are of no use.
        let ends = if reader == Reader::Input { Some(Vec::new()) } else { self.ends(&from).await };
        let Some(ends) = ends else { return };
        let Some(opened) = self.until_stopped(|| log.read(from.clone())).await else { return };
        match reader {
            Reader::Output => self.output = Some(Paced::new(Partitions(opened))),
            Reader::Scan => self.scan = Some(Paced::new(Partitions(opened))),
            Reader::Input => self.source = Some(Paced::new(Source::All(opened))),
        }
        self.driver.step(Event::Opened(&ends));
    }

    /// What the log keeps of these partitions.
    async fn bounds(&mut self, of: &[Position]) -> Option<Vec<Bounds>> {
        let log = Arc::clone(&self.parts.log);
        self.until_stopped(|| try_join_all(of.iter().map(|at| log.bounds(at.topic, at.partition)))).await
    }

    /// The ends of these partitions.
    async fn ends(&mut self, of: &[Position]) -> Option<Vec<Position>> {
        let end = |(at, kept): (&Position, Bounds)| Position { offset: kept.end, ..*at };
        self.bounds(of).await.map(|kept| of.iter().zip(kept).map(end).collect())
    }

    /// Retries until it succeeds, is refused permanently, or the process is to stop; the driver learns of the
    /// latter two.
    async fn until_stopped<T, F>(&mut self, mut attempt: impl FnMut() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, LogError>>,
    {
        let (mut pause, shutdown) = (Backoff::new(), self.shutdown.clone());
        loop {
            let outcome = tokio::select! {
                () = shutdown.cancelled() => None,
                outcome = attempt() => Some(outcome),
            };
            match outcome {
                Some(Ok(value)) => return Some(value),
                Some(Err(error)) if error.class() == ErrorClass::Permanent => {
                    self.driver.step(Event::Failed(error));
                    return None;
                }
                Some(Err(error)) => self.unavailable(Stage::Read, &error),
                None => {
                    self.driver.step(Event::Stop);
                    return None;
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause.next()) => {}
            }
        }
    }
}
