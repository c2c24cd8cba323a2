//! Copies of a log in a place of their own, taken bit by bit, and brought back into an empty log.
//!
//! # What is in the place
//! `backup.json` says that it is one. `records/TOPIC/PARTITION/OFFSET-HASH.jsonl` has some records of a partition, from this offset on:
//! one JSON object a line. `runs/THOUSAND/NUMBER.json` is written when all records of a run are there: which objects it added, with their
//! SHA-256; where each partition ends; and the SHA-256 of the run before, so that all runs form a chain.
//!
//! Nothing is ever changed or overwritten: an object of records has its name from what is in it, so that of two runs at the same time
//! neither harms what the other one has written, and only one of them can write the run of a number. What no run
//! names is not part of the backup.
//!
//! A run that is `complete` ends where every record that another one answers or vouches for is there, too. Of a run
//! that was interrupted what is not complete waits for the next one, and is not restored before.

mod restore;
mod run;
mod segment;
mod take;

use kbnt_application::intact::TopicId;
use kbnt_application::ports::{ErrorClass, LogError};
use kbnt_application::{Position, Topic};
use thiserror::Error;

use crate::objects::{Mark, PlaceError};

pub use restore::{Checked, Deletes, Log, Restored, check, restore};
pub use take::{Taken, take};

/// Why a backup cannot be taken or restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The log does not answer, or refuses.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The place cannot be used, or has something else than what was written.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Another backup into the same place was faster.
    #[error("another backup has just written {0}: one at a time")]
    Raced(String),
    /// There is nothing to restore.
    #[error("there is no complete backup in {0}")]
    Nothing(String),
    /// The log is not the one of which the place has a backup.
    #[error("{} is another topic than the one that was backed up, {found} instead of {known}: take its backup in another place", topic.name())]
    Replaced {
        /// The topic.
        topic: Topic,
        /// Its id in the backup.
        known: TopicId,
        /// Its id now.
        found: TopicId,
    },
    /// The log has another record where the backup has one.
    #[error("{0} is not the record that the backup has there: this log has another history")]
    Differs(Position),
    /// The log ends before what was backed up.
    #[error(
        "{end} is the end, and the backup has records up to offset {wanted}: the log has lost records (kbnt log verify), or is another one"
    )]
    Short {
        /// Where it ends.
        end: Position,
        /// Where the backup ends.
        wanted: u64,
    },
    /// Records of an event store are gone that a backup must have.
    #[error(
        "the records before {first} are gone, from offset {wanted} on: without them nothing can be restored from this backup"
    )]
    Cut {
        /// The first one that is there.
        first: Position,
        /// The first one that is wanted.
        wanted: u64,
    },
    /// The log to restore into has records that the backup does not have.
    #[error(
        "{end} is the end of a log that is not empty, and the backup has fewer records: restore into empty topics"
    )]
    NotEmpty {
        /// Where it ends.
        end: Position,
    },
    /// A record did not get the offset that it had.
    #[error(
        "the record of {wanted} was written to offset {found}: somebody else writes into this log, or a write was repeated; make its topics anew and begin again"
    )]
    Shifted {
        /// Where it belongs.
        wanted: Position,
        /// Its offset.
        found: u64,
    },
    /// A log in a directory cannot begin at a later offset.
    #[error(
        "{0} is the first record that the backup has, as those before it had expired; only Kafka can begin there"
    )]
    Expired(Position),
}

impl BackupError {
    /// What to do about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Log(error) => error.class(),
            Self::Place(error) => error.class(),
            // The next run goes on after the other one.
            Self::Raced(_) => ErrorClass::Transient,
            _ => ErrorClass::Permanent,
        }
    }
}

/// The version of the format.
const FORMAT: u32 = 1;

/// What every place of a backup has.
pub(crate) const MARK: Mark =
    Mark { object: "backup.json", key: "kbntBackup", format: FORMAT, of: "a backup" };

/// What is known of all partitions of the event topics.
type ByPartition<T> = std::collections::BTreeMap<(Topic, u32), T>;

/// A position.
const fn at((topic, partition): (Topic, u32), offset: u64) -> Position {
    Position { topic, partition, offset }
}
