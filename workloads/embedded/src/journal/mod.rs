//! The durable form of the embedded log: one journal of all partitions, in segment files.
//!
//! Appends that wait at the same time are written as one group and made durable by one `fdatasync`; only then
//! are they acknowledged and shown to readers, and only then is the next group written. So a crash can tear
//! at most the last group of a journal, and any damage before another whole group happened later.
//!
//! A group is a header (magic, sequence number, counts, checksum) and records, each with its length and its CRC-32.

mod committer;
mod frame;
mod home;
mod identity;
mod offsets;
mod recover;
mod sealed;
mod segments;
mod trouble;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kbnt_application::ports::RawRecord;
use kbnt_application::{Position, Topic};
use thiserror::Error;

pub(super) use committer::{Committer, Publish, Submission};
pub(super) use home::Home;
pub(super) use identity::{keep as keep_id, read as read_id};
pub(super) use offsets::{Commits, Loaded, Offsets};
pub(super) use recover::{cut, recover};
pub(super) use segments::{Access, Place, Segments};

/// Why a directory cannot be opened as a log.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// There is damage before the end: a cut there would lose acknowledged records.
    #[error(
        "{} is damaged at byte {at} ({reason}), and there is more after it; nothing was changed. Restore the directory \
         from a copy, or move it away to begin anew",
        .file.display()
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// The offset in it.
        at: u64,
        /// The damage.
        reason: String,
    },
    /// Records at the end that were durable are missing: a cut, or further writes, would lose acknowledged
    /// records.
    #[error(
        "{} ends too early: {}; nothing was changed. Restore the directory from a copy; or, to go on without these records, \
         remove its offsets.json", .directory.display(), Listed(.short)
    )]
    Short {
        /// The directory.
        directory: PathBuf,
        /// The partitions, with the missing records.
        short: Vec<Short>,
    },
    /// There is no log.
    #[error("there is no log in {}", .0.display())]
    NothingThere(PathBuf),
    /// A segment is missing.
    #[error("{} is missing, though there are later ones; nothing was changed", .0.display())]
    Missing(PathBuf),
    /// The operating system reports an error.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { path, error }
    }
}

/// What was found when a directory was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Number of records.
    pub records: u64,
    /// The torn end, if there is one. Opening the log for writing has cut it off.
    pub torn: Option<Tear>,
    /// Partitions that end before their durable end. If the log is opened for writing, this lists only
    /// records that the services restore.
    pub short: Vec<Short>,
    /// Whether the files prove where the log ends.
    pub proof: Proof,
    /// How long it took to read and check everything.
    pub took: Duration,
}

/// Whether `offsets.json` states the durable ends. Without it, a truncated end leaves no trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proof {
    /// It does.
    Given,
    /// The file does not exist.
    #[default]
    Missing,
    /// The file is not trusted, for this reason.
    Refused(String),
}

/// An end of the journal that is not a whole group: a write that a crash interrupted, or a group that was
/// damaged later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tear {
    /// The segment.
    pub file: PathBuf,
    /// The offset in it.
    pub at: u64,
    /// The bytes from there to the end of the file.
    pub bytes: u64,
    /// What is wrong there.
    pub reason: &'static str,
}

/// A partition that ends before its durable end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// Its end: the position of the first missing record.
    pub end: Position,
    /// The durable end.
    pub wanted: u64,
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, at, bytes, reason } = self;
        write!(f, "{}: {bytes} bytes from byte {at} on are no whole write ({reason})", file.display())
    }
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { end, wanted } = self;
        write!(f, "{end} and on to offset {} were durable once and are missing", wanted.saturating_sub(1))
    }
}

/// Each of them, in a sentence.
struct Listed<'a>(&'a [Short]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, short) in self.0.iter().enumerate() {
            write!(f, "{}{short}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// A record in the form of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) at: Position,
    pub(super) record: RawRecord,
}

/// Topics by their number in the journal; never to be reordered.
const TOPICS: [Topic; 7] = [
    Topic::UserEvents,
    Topic::OrderEvents,
    Topic::PaymentEvents,
    Topic::InventoryEvents,
    Topic::NotificationEvents,
    Topic::AuditLogs,
    Topic::ApplicationLogs,
];
