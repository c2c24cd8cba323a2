//! What a driver makes known of its work, for metrics and logs.

use std::time::Duration;

use kbnt_domain::Timestamp;

use super::{HistoryError, LogError, SnapshotError, Unreadable};
use crate::machine::{Append, Delivered, Effect, EffectOutcome, Halt, Position};
use crate::message::{Service, Topic};

/// What was being done when the log could not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Reading.
    Read,
    /// Writing.
    Append,
    /// Noting offsets.
    Commit,
}

/// What became of a snapshot.
#[derive(Debug)]
pub enum SnapshotEvent<'a> {
    /// It is kept.
    Kept {
        /// When its image was taken.
        taken: Timestamp,
        /// Its size.
        bytes: u64,
        /// How long it took to copy the state; the machine waited for it.
        copied: Duration,
        /// How long it took to keep it; nobody waited.
        took: Duration,
    },
    /// It could not be kept.
    Failed(&'a SnapshotError),
    /// The machine has begun with it.
    Restored {
        /// When its image was taken.
        taken: Timestamp,
        /// How many there are that are newer, and of no use.
        before: usize,
    },
    /// It is of no use: the machine begins with an older one or with the first record.
    Refused {
        /// How many there are that are newer.
        before: usize,
        /// What is wrong with it.
        why: &'a str,
    },
}

/// What became of the history of orders.
#[derive(Clone, Copy, Debug)]
pub enum HistoryReport<'a> {
    /// It goes on after what is stored.
    Resumed {
        /// Records of the log that are applied.
        applied: u64,
    },
    /// Processes share what is stored, and it is another one's turn to apply the log, or this one's again.
    Turn {
        /// Whether this one applies it.
        applies: bool,
    },
    /// What was stored is set aside: it is built anew from the log.
    Rebuilt {
        /// What is wrong with it.
        why: &'a str,
    },
    /// It is being built, and this many records are still to be applied.
    Building {
        /// Records of the log that are applied.
        applied: u64,
        /// Records that are still to be.
        left: u64,
    },
    /// Everything is applied that was in the log when it began.
    CaughtUp {
        /// Records of the log that are applied.
        applied: u64,
        /// How long it took.
        took: Duration,
    },
    /// A batch is applied.
    Applied {
        /// Records in it.
        records: usize,
        /// How long it took.
        took: Duration,
    },
    /// Orders that are older than they are kept were dropped.
    Expired {
        /// How many.
        orders: usize,
    },
    /// The store could not; it is tried again.
    Failed(&'a HistoryError),
}

/// Is told what a runtime does; every method must return at once.
pub trait Observer: Send + Sync + 'static {
    /// A record was handled at `now`; its age is how long after its writing that is.
    fn handled(&self, _service: Service, _record: &Delivered, _now: Timestamp) {}

    /// A batch is done: how many inputs, how long the steps took, and how long until their outputs were durable.
    fn batch(&self, _service: Service, _inputs: usize, _steps: Duration, _append: Duration) {}

    /// A record was written and is durable.
    fn appended(&self, _service: Service, _record: &Append, _at: Position) {}

    /// A record says nothing that we understand; it was passed over.
    fn unreadable(&self, _service: Service, _record: &Unreadable) {}

    /// A record of a fenced writer was dropped.
    fn fenced(&self, _service: Service, _at: Position) {}

    /// An effect came to an end.
    fn effect(&self, _service: Service, _effect: &Effect, _outcome: &EffectOutcome, _took: Duration) {}

    /// How many records of an input partition are still to be handled.
    fn lag(&self, _service: Service, _topic: Topic, _partition: u32, _records: u64) {}

    /// The clock is off by so many milliseconds, and the service decides nothing; `None`: it is right again, and it goes on.
    fn clock(&self, _service: Service, _off_by: Option<i64>) {}

    /// So many orders have waited for the world outside so long that a person should look.
    fn stuck(&self, _service: Service, _orders: usize) {}

    /// The partition is recovered from this many records of the service's own output.
    fn recovered(&self, _service: Service, _partition: u32, _records: u64, _took: Duration) {}

    /// The partition went to another process.
    fn revoked(&self, _service: Service, _partition: u32) {}

    /// What a commit says of the records before `at` is of no use: it is found out from the log.
    fn unknown_note(&self, _service: Service, _at: Position) {}

    /// The log could not; it is tried again.
    fn retrying(&self, _service: Service, _stage: Stage, _error: &LogError) {}

    /// Something became of a snapshot.
    fn snapshot(&self, _service: Service, _event: &SnapshotEvent<'_>) {}

    /// Something became of the history of orders.
    fn history(&self, _report: &HistoryReport<'_>) {}

    /// This process is the elected writer, of this term.
    fn elected(&self, _service: Service, _term: u64) {}

    /// The machine must not go on.
    fn halted(&self, _service: Service, _why: &Halt) {}
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl Observer for NoObserver {}
