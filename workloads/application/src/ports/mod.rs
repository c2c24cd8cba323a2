//! What the services need of the world, and what the world needs of them, as traits; the crates above implement them.

mod calls;
mod closed_orders;
mod history;
mod leadership;
mod metrics;
mod observe;
mod read_model;

use std::sync::Arc;

use async_trait::async_trait;
use kbnt_domain::{EventId, Span, Timestamp};
use thiserror::Error;

use crate::intact::{Bounds, Damage, Fault, TopicId};
use crate::machine::{
    Append, Delivered, NotificationOutcome, NotificationRequest, PaymentOutcome, PaymentRequest, Position,
};
use crate::message::{Service, Topic};

pub use crate::machine::{RawRecord, Unreadable};
pub use calls::{CALL_PATIENCE, CallError, Callable, Changes, Work};
pub use closed_orders::{ArchiveError, ClosedOrderArchive};
pub use history::{History, HistoryError, HistorySize, HistoryStore, Standing};
pub use leadership::{Active, Leadership};
pub use metrics::{HttpMetrics, Refresh};
pub use observe::{HistoryReport, NoObserver, Observer, SnapshotEvent, Stage};
pub use read_model::ReadModel;

/// What to do about an error; drives retry, condition and metric alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Passes by itself: try again, with a growing pause.
    Transient,
    /// Something else must happen first.
    Waiting,
    /// Stays until a person changes something.
    Permanent,
}

/// Why the log could not do it.
#[derive(Clone, Debug, Error)]
pub enum LogError {
    /// The log cannot be reached now, or asked for patience.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// A topic or partition is not there (yet).
    #[error("{topic} has no partition {partition}")]
    NoSuchPartition {
        /// Its name, with prefix.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// The log refuses: no permission, storage corrupt.
    #[error("the log refuses: {0}")]
    Refused(String),
    /// A record is larger than the log takes.
    #[error("the log takes no record of that size: {0}")]
    TooLarge(String),
    /// A topic is not the one that the service knows, or not all of it: the service must not decide.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

impl LogError {
    /// What to do about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Unavailable(_) => ErrorClass::Transient,
            Self::NoSuchPartition { .. } => ErrorClass::Waiting,
            Self::Refused(_) | Self::TooLarge(_) | Self::Damaged(_) => ErrorClass::Permanent,
        }
    }
}

/// One record of a batch.
#[derive(Clone, Debug)]
pub enum Fetched {
    /// Understood.
    Record(Delivered),
    /// Not understood: to be counted, told and kept as a dead letter, and passed over.
    Unreadable(Unreadable),
}

impl Fetched {
    /// Where it lies.
    pub const fn at(&self) -> Position {
        match self {
            Self::Record(record) => record.at,
            Self::Unreadable(record) => record.at,
        }
    }

    /// The record, if it is understood.
    pub const fn record(&self) -> Option<&Delivered> {
        match self {
            Self::Record(record) => Some(record),
            Self::Unreadable(_) => None,
        }
    }

    /// The record as it lies in the log, if it is here.
    pub fn raw(&self) -> Option<&RawRecord> {
        match self {
            Self::Record(record) => record.raw.as_deref(),
            Self::Unreadable(record) => Some(&record.raw),
        }
    }
}

/// The log of all topics.
#[async_trait]
pub trait EventLog: Send + Sync + 'static {
    /// Writes `batch` in order (per partition) and returns once all of it would survive a crash of the log, with each
    /// record's position in the batch's order. On an error any part of the batch may have been written.
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError>;

    /// How far apart the batches of a machine should be while there is plenty to do: where each batch is costly, fewer and larger
    /// ones are more.
    fn pace(&self) -> Span;

    /// Where the records of a partition begin and end now.
    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError>;

    /// Which topic of this name it is now.
    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError>;

    /// What the caller has kept beside the log contradicts it in this way. An error if it must not decide; else it may go on
    /// without what it has kept.
    async fn contradicted(&self, _topic: Topic, _fault: Fault) -> Result<(), LogError> {
        Ok(())
    }

    /// Reads from these positions on, without a group.
    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError>;

    /// The same log, whose readers hand over each record's bytes with it, in [`Delivered::raw`].
    fn with_bytes(&self) -> Arc<dyn EventLog>;

    /// Joins the group of `service`: the processes of a service share the partitions of its inputs, the same
    /// partition number of every input topic always together.
    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError>;
}

/// Reads given partitions.
#[async_trait]
pub trait LogReader: Send {
    /// At most `most` records, as soon as there are any; empty when `wait` has passed without. A caller that stops
    /// waiting loses nothing.
    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError>;

    /// Where it stands: of each partition the position after the last record that [`LogReader::next`] returned, or
    /// after what a log holds there that is no record.
    fn positions(&self) -> Vec<Position>;

    /// Whether it has read all that lies before `ends`, in the partitions that it reads.
    fn has_reached(&self, ends: &[Position]) -> bool {
        let positions = self.positions();
        ends.iter().all(|end| {
            let here = |at: &&Position| (at.topic, at.partition) == (end.topic, end.partition);
            positions.iter().find(here).is_none_or(|at| at.offset >= end.offset)
        })
    }
}

/// A batch, or a change of what this process is to read.
#[derive(Clone, Debug)]
pub enum GroupBatch {
    /// These partitions are ours from now on, from what was committed (else from the first record).
    Assigned(Vec<Assignment>),
    /// These are no longer ours; what was not committed is read again by somebody else.
    Revoked(Vec<u32>),
    /// Records of our partitions; empty when the wait was over without.
    Records(Vec<Fetched>),
}

/// A partition number of all input topics that is ours now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The partition number.
    pub partition: u32,
    /// What was committed for it, by topic; a topic that is not here is read from its first record.
    pub committed: Vec<Commit>,
    /// Topics for which something was committed while another topic had the name: that counts for nothing.
    pub replaced: Vec<ReplacedTopic>,
}

/// A topic that was deleted and made again under the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplacedTopic {
    /// The topic.
    pub topic: Topic,
    /// The id of the topic that is known.
    pub known: TopicId,
    /// The id of the topic that is there.
    pub found: TopicId,
}

/// From where to go on after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The next position to read.
    pub next: Position,
    /// What a reader that starts there must know of the records before, such as the writer that counts; up to 1,000
    /// characters.
    pub note: String,
}

/// Reads as a member of a service's group.
#[async_trait]
pub trait GroupReader: Send {
    /// The next batch of at most `most` records, as soon as there is any. A caller that stops waiting loses nothing.
    /// What was assigned may be empty: then the group's other members have everything. Whoever asks for 0 records waits for a
    /// change only.
    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError>;

    /// Notes from where to go on after a restart. It need not be on disk when this returns: what is lost of it is
    /// read again.
    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError>;

    /// Hands the partitions over to the group's other members.
    async fn leave(self: Box<Self>) -> Result<(), LogError>;
}

/// Where a record lies, and which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The place.
    pub at: Position,
    /// The record.
    pub id: EventId,
}

/// A sole writer's state, so that a start need not fold everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<I> {
    /// When its image was taken.
    pub taken: Timestamp,
    /// In each partition of the output topic the last record that is in the image. A log that has another one there is
    /// not the log of this snapshot.
    pub folded: Vec<Mark>,
    /// From where the inputs are to be read.
    pub inputs: Vec<Position>,
    /// The state.
    pub image: I,
}

impl<I> Snapshot<I> {
    /// From where a process that begins with it reads each partition: also the records themselves up to which it knows all, which tell
    /// its log from others.
    pub fn reads(&self) -> impl Iterator<Item = Position> {
        self.folded.iter().map(|mark| mark.at).chain(self.inputs.iter().copied())
    }
}

/// Why a snapshot could not be kept, or is of no use.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The store cannot be read or written.
    #[error("{0}")]
    Unavailable(#[from] std::io::Error),
    /// It is not what was written: cut short, or altered.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Another version of this program wrote it.
    #[error("it is in format {0}, which this program does not read")]
    Format(u32),
}

/// Keeps the last two snapshots of a sole writer. It blocks: it belongs on a thread that may wait.
pub trait SnapshotStore<I>: Send + Sync + 'static {
    /// Keeps a snapshot as the newest one, in place of the one before the last; it would survive a crash of the machine from
    /// then on. How many bytes it takes.
    fn keep(&self, snapshot: &Snapshot<I>) -> Result<u64, SnapshotError>;

    /// The newest snapshot for 0, the one before it for 1; `None` if there is none.
    fn load(&self, before: usize) -> Option<Result<Snapshot<I>, SnapshotError>>;
}

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// By how many milliseconds the system's clock is ahead of what it should show (behind it, if negative), where that is more
    /// than it may be: until it is put right, nobody decides by time. [`Clock::now`] goes on as if the clock had not been set.
    fn off_by(&self) -> Option<i64> {
        None
    }

    /// The newest record that is in the log at a start was written at `newest`: what a clock that was wrong from the start can be
    /// told by.
    fn log_says(&self, _newest: Timestamp) {}
}

/// Takes payments: one attempt per call, within the adapter's own time limit, and never an error that hides what
/// happened: what is not known is [`PaymentOutcome::Unknown`].
#[async_trait]
pub trait PaymentGateway: Send + Sync + 'static {
    /// Does what is asked, and says what came of it.
    async fn perform(&self, request: &PaymentRequest) -> PaymentOutcome;

    /// Whether somebody is asked for it, who can be asked for so much at a time; `false` of what only waits for a timer.
    fn takes_place(&self, _request: &PaymentRequest) -> bool {
        true
    }
}

/// Tells customers: one attempt per call.
#[async_trait]
pub trait Notifier: Send + Sync + 'static {
    /// Tells the customer, and says what came of it.
    async fn notify(&self, request: &NotificationRequest) -> NotificationOutcome;
}
