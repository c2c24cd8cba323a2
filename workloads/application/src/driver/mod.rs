//! The whole life of a machine, without any I/O: what to read, when to write, when to acknowledge.
//!
//! A [`Driver`] owns a machine. It is stepped by [`Event`]s (records, acknowledgements, assignments, calls, outcomes, a stop) and asks
//! for [`Command`]s in return (open a reader, append, commit, start an effect, answer a caller, keep a snapshot). Whoever carries them
//! has no choices of its own: the tokio runtime does with real logs what the simulator does with one in memory, so that what is
//! simulated is what ships. Steps never wait, take their time from the given clocks, and give the same commands for the same events.
//!
//! # How it is carried
//! - At most one request is under way: [`Command::Bounds`], `Open`, `Join`, `Load`, `Contradict`, `AwaitTurn`, `Append`, `Commit` and
//!   `Leave` are each answered by one event. A try that fails for now is repeated by the carrier, which says so by
//!   [`Event::Unavailable`]; one that fails for good is [`Event::Failed`].
//! - [`Driver::wants`] says what may be handed over now: records of which reader, calls, outcomes. Whatever is there already may be
//!   handed over one after the other; [`Event::Flush`] then ends the batch.
//! - Records are handed over as slices, in the order of their partition, with the positions where the reader stands then.
//!
//! # Its life
//! A member of a group (`begin`): follow the output topic to its end if the machine wants that, join, and then, for each
//! assignment (`assign`), fold its own records, write what a crash kept from being written, and read again what was committed and
//! is not answered. A sole writer (`begin`, `restore`): fold everything, or what lies behind a snapshot; stand by; stand for
//! election; go on where its records end. At work (`work`): steps, append, effects and answers, commit. At its end (`finish`):
//! take in what is there, wait for what is under way, commit, hand over.

mod assign;
mod batch;
mod begin;
mod effects;
mod finish;
mod inputs;
mod restore;
mod setup;
mod snapshots;
mod tail;
#[cfg(test)]
mod tests;
mod turns;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use kbnt_domain::{OrderId, Span};
use thiserror::Error;

use self::assign::Assigning;
use self::batch::Batch;
use self::begin::Begin;
use self::effects::Effects;
use self::inputs::Inputs;
use self::snapshots::Snapshots;
use self::tail::Tail;
use self::work::{After, Sent};
use crate::event::Writer;
use crate::intact::{Bounds, Fault};
use crate::machine::{Append, Effect, EffectOutcome, Halt, ImageOf, Machine, Outbox, Position, SoleWriter};
use crate::message::{Service, Topic};
use crate::ports::{self, Assignment, Clock, Commit, Fetched, LogError, Observer, Snapshot, SnapshotError};

pub use self::effects::Attempt;
pub use self::setup::{Limits, Setup, Stopwatch};

/// What a caller wants of the machine, between two batches; what it returns is handed back when it is answered.
pub type Call<M, R> = Box<dyn FnOnce(&mut M, &mut Outbox) -> R + Send>;

/// One of the readers that a driver has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Of the machine's own output topic.
    Output,
    /// Of its inputs: as a member of its group, or of all partitions.
    Input,
    /// Of one partition, from one position to another.
    Scan,
}

/// What happens to a driver.
pub enum Event<'a, M: Machine, R> {
    /// The process has started.
    Begin,
    /// What the log keeps of the partitions, in the order in which they were asked for.
    Bounds(&'a [Bounds]),
    /// The reader is open; where its partitions ended just before. Of the inputs nobody asks, as they may be missing.
    Opened(&'a [Position]),
    /// The process is a member of its group.
    Joined,
    /// The snapshot that was asked for, if there is one.
    Loaded(Option<Result<Box<Snapshot<ImageOf<M>>>, SnapshotError>>),
    /// Whether the machine may decide although the log contradicts what is known of it.
    Contradicted(Result<(), LogError>),
    /// It is this process's turn to stand for election.
    Turn,
    /// The batch is durable, each record at its position.
    Appended(&'a [Position]),
    /// A record of the batch is larger than the log takes.
    TooLarge(LogError),
    /// The batch will not be tried any more, as the process is to stop; any part of it may be in the log.
    GivenUp,
    /// The offsets are noted, or it has failed for now.
    Committed(Result<(), LogError>),
    /// The partitions are handed over.
    Left,
    /// What came of keeping a snapshot: its size, and how long it took.
    Kept(Result<u64, SnapshotError>, Duration),
    /// Records of a reader, and where it stands now; none if there were none in time.
    Records(Reader, &'a [Fetched], &'a [Position]),
    /// These partitions are the process's from now on.
    Assigned(Vec<Assignment>),
    /// These partitions are somebody else's.
    Revoked(Vec<u32>),
    /// Somebody asks for something.
    Call(Call<M, R>),
    /// An effect came to its end; without an outcome if nobody knows it.
    Outcome(Attempt, Option<(OrderId, EffectOutcome)>),
    /// All that is there was handed over, or it is time.
    Flush,
    /// The log does not answer for now; it is tried again.
    Unavailable(ports::Stage, &'a LogError),
    /// The log refuses for good.
    Failed(LogError),
    /// The process is to stop.
    Stop,
}

/// What a driver asks for.
pub enum Command<M: Machine, R> {
    /// Say what the log keeps of these partitions.
    Bounds(Vec<Position>),
    /// Read these partitions from these positions on, in place of what the reader read before; say where they end.
    Open(Reader, Vec<Position>),
    /// Read no more.
    Close(Reader),
    /// Join the group of the service; its reader is [`Reader::Input`].
    Join,
    /// Load the newest snapshot but so many.
    Load(usize),
    /// The log contradicts what is known of it: find out whether the machine may decide.
    Contradict(Topic, Fault),
    /// Say when it is this process's turn to write.
    AwaitTurn,
    /// Append these, per partition in their order.
    Append(Arc<Vec<Append>>),
    /// Note these offsets.
    Commit(Arc<Vec<Commit>>),
    /// Do this outside.
    Start(Attempt, Effect),
    /// What the caller asked for is durable; its records lie there.
    Answer(R, Vec<Position>),
    /// Nobody knows what came of what the caller asked for.
    Refuse(R, Failure),
    /// Keep a snapshot.
    Keep(Box<Snapshot<ImageOf<M>>>),
    /// Hand the partitions over.
    Leave,
    /// That was all.
    Finish(Result<(), Failure>),
}

/// Why a driver ended by itself.
#[derive(Clone, Debug, Error)]
pub enum Failure {
    /// The log refuses for good.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A newer writer, which goes on in this one's place.
    #[error("fenced by writer {} of term {}", .0.name, .0.term)]
    Fenced(Writer),
    /// A bug that would have broken the books.
    #[error("an invariant is violated: {0}")]
    Broken(String),
    /// The archive of closed orders has failed.
    #[error("{0}")]
    Archive(String),
}

/// What may be handed to a driver now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// At most so many records of its inputs; for 0 only what is assigned and revoked, and nothing at all for `None`.
    pub input: Option<usize>,
    /// Records of its output topic.
    pub output: bool,
    /// Records of the partition that it scans.
    pub scan: bool,
    /// So many calls.
    pub calls: usize,
    /// Outcomes of effects.
    pub outcomes: bool,
    /// Nothing before this time, so that more may come in; in the time of the stopwatch.
    pub rest: Option<Duration>,
    /// [`Event::Flush`] by then, even if nothing comes; in the time of the stopwatch.
    pub wake: Option<Duration>,
    /// How long a reader may wait for records.
    pub wait: Span,
}

/// How far a driver has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The state is folded, and the log answers.
    pub ready: bool,
    /// All there was is folded, and the log is followed until it is this process's turn to write.
    pub standing_by: bool,
    /// Grows with every batch that may have changed the machine's state, once that is durable.
    pub version: u64,
}

/// A change of what a member of a group has.
enum Change {
    Assigned(Vec<Assignment>),
    Revoked(Vec<u32>),
}

/// What a driver waits for.
enum Stage<M: Machine, R> {
    /// To come to work.
    Begin(Begin<M>),
    /// Anything to do.
    Ready,
    /// The acknowledgement of a batch.
    Appending(Box<Sent<R>>, After),
    /// That offsets are noted.
    Committing(Arc<Vec<Commit>>, After),
    /// To recover what it was assigned.
    Assigning(Box<Assigning>),
    /// Its last records, until a deadline.
    Draining(Duration),
    /// The last outcomes, until a deadline.
    LastOutcomes(Duration),
    /// To hand its partitions over.
    Leaving,
    /// Nothing any more.
    Done,
}

/// A machine, and what driving it needs in every stage.
struct Core<M: Machine, R> {
    machine: M,
    service: Service,
    clock: Arc<dyn Clock>,
    stopwatch: Stopwatch,
    observer: Arc<dyn Observer>,
    limits: Limits,
    commands: VecDeque<Command<M, R>>,
    batch: Option<Batch<R>>,
    effects: Effects,
    inputs: Inputs,
    tail: Option<Tail<R>>,
    status: Status,
}

/// Drives one machine. See the [module](self).
pub struct Driver<M: Machine, R> {
    core: Core<M, R>,
    stage: Stage<M, R>,
    snapshots: Option<Snapshots<ImageOf<M>>>,
    /// Whether a sole writer waits for its turn.
    led: bool,
    /// What is to be done once the batch in hand is.
    change: Option<Change>,
    /// It has learned what is its own.
    settled_in: bool,
    /// By how much the clock is off, while the machine must not decide.
    clock_off: Option<i64>,
    /// What came in just when it went off.
    held: Vec<Fetched>,
    /// When the next batch may begin.
    rest: Option<Duration>,
    stopping: bool,
}

impl<M: Machine, R> Driver<M, R> {
    /// A driver of `machine`, which is to be told [`Event::Begin`].
    pub fn new(machine: M, setup: Setup) -> Self {
        let Setup { clock, stopwatch, observer, limits, takes_place, snapshots, led } = setup;
        let service = machine.service();
        let snapshots = snapshots.map(|every| Snapshots::new(every, stopwatch()));
        let core = Core {
            machine,
            service,
            clock,
            stopwatch,
            observer,
            commands: VecDeque::new(),
            batch: None,
            effects: Effects::new(service, limits.places, takes_place),
            limits,
            inputs: Inputs::default(),
            tail: None,
            status: Status::default(),
        };
        Self {
            core,
            stage: Stage::Begin(Begin::Started),
            snapshots,
            led,
            change: None,
            settled_in: false,
            clock_off: None,
            held: Vec::new(),
            rest: None,
            stopping: false,
        }
    }

    /// The next thing to be done, if there is any.
    pub fn next_command(&mut self) -> Option<Command<M, R>> {
        self.core.commands.pop_front()
    }

    /// The machine.
    pub const fn machine(&self) -> &M {
        &self.core.machine
    }

    /// The machine, for whoever checks it; it must not be stepped.
    pub const fn machine_mut(&mut self) -> &mut M {
        &mut self.core.machine
    }

    /// How far it has come.
    pub const fn status(&self) -> Status {
        self.core.status
    }

    /// Whether it was told to stop.
    pub const fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether it takes in whatever comes.
    pub const fn is_at_work(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// The offset after the last record that was handled, of each input partition.
    pub fn positions(&self) -> Vec<Position> {
        self.core.inputs.positions().collect()
    }

    /// Takes in what has happened.
    pub fn step(&mut self, event: Event<'_, M, R>) {
        if let Err(failure) = self.take(event).and_then(|()| self.heed_stop()) {
            self.fail(failure);
        }
    }

    fn take(&mut self, event: Event<'_, M, R>) -> Result<(), Failure> {
        match event {
            Event::Stop => self.stopping = true,
            Event::Failed(error) => return Err(error.into()),
            Event::Unavailable(stage, error) => self.unavailable(stage, error)?,
            Event::Kept(outcome, took) => self.kept(&outcome, took),
            Event::Appended(positions) => return self.appended(positions),
            Event::TooLarge(error) => return self.too_large(error),
            Event::GivenUp => return self.given_up(),
            Event::Committed(outcome) => return self.committed(outcome),
            Event::Left => self.finish(Ok(())),
            event => {
                return match &self.stage {
                    Stage::Begin(_) => self.begin(event),
                    Stage::Assigning(_) => self.assign(event),
                    Stage::Ready | Stage::Draining(_) | Stage::LastOutcomes(_) => self.work(event),
                    // What was under way when the stage ended is of no interest any more.
                    _ => Ok(()),
                };
            }
        }
        Ok(())
    }

    fn unavailable(&mut self, stage: ports::Stage, error: &LogError) -> Result<(), Failure> {
        self.core.observer.retrying(self.core.service, stage, error);
        self.core.status.ready = false;
        match self.stage {
            Stage::Draining(_) if stage == ports::Stage::Read => self.await_outcomes(),
            _ => Ok(()),
        }
    }

    /// Ends by itself: whoever waits for an answer gets none.
    fn fail(&mut self, failure: Failure) {
        for reply in self.core.tail.iter_mut().flat_map(Tail::waiting) {
            self.core.commands.push_back(Command::Refuse(reply, failure.clone()));
        }
        self.finish(Err(failure));
    }

    fn finish(&mut self, outcome: Result<(), Failure>) {
        self.core.status.ready = false;
        self.stage = Stage::Done;
        self.core.commands.push_back(Command::Finish(outcome));
    }

    /// What may be handed over now.
    pub fn wants(&self) -> Wants {
        match &self.stage {
            Stage::Begin(begin) => begin.wants(),
            Stage::Assigning(assigning) => assigning.wants(&self.core),
            Stage::Ready | Stage::Draining(_) | Stage::LastOutcomes(_) => self.wants_at_work(),
            _ => Wants::default(),
        }
    }
}

impl<M: Machine, R> Core<M, R> {
    fn command(&mut self, command: Command<M, R>) {
        self.commands.push_back(command);
    }

    /// The batch in hand.
    fn batch(&mut self) -> (&mut Batch<R>, &mut M, &dyn Clock) {
        let Self { batch, machine, clock, service, stopwatch, .. } = self;
        let batch = batch.get_or_insert_with(|| Batch::new(*service, clock.as_ref(), stopwatch()));
        (batch, machine, &**clock)
    }

    /// Ends the run if the machine must not write any more.
    fn check(&mut self) -> Result<(), Failure> {
        let Some(halt) = self.machine.sole_writer().and_then(|writer| writer.halted()) else { return Ok(()) };
        self.observer.halted(self.service, &halt);
        Err(match halt {
            Halt::Fenced(writer) => Failure::Fenced(writer),
            Halt::Broken(what) => Failure::Broken(what),
            Halt::Archive(what) => Failure::Archive(what),
        })
    }

    /// Shows the machine what counts of these records of its output topic.
    fn follow(&mut self, records: &[Fetched], next: &[Position]) {
        let Some(tail) = &mut self.tail else { return };
        tail.reached(records, next);
        tail.follow(&mut self.machine, records, self.service, self.observer.as_ref());
    }
}

/// So many records before the end of the partition of `at`, or its first one.
fn before(at: Position, kept: &Bounds, records: u64) -> Position {
    Position { offset: kept.end.saturating_sub(records), ..at }
}

/// The first position of every partition of `topic`.
fn beginning(topic: Topic) -> Vec<Position> {
    (0..topic.partitions()).map(|partition| Position { topic, partition, offset: 0 }).collect()
}
