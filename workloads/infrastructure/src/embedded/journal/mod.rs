//! The durable form of the embedded log: one journal of all partitions, in segment files.
//!
//! Appends that wait at the same time are written as one group and made durable by one `fdatasync`; only then are they
//! acknowledged and shown to readers, and only then is the next group written. So at most the last group of a journal can
//! be torn by a crash, and whatever is damaged before another whole group was damaged later.
//!
//! A group is a header (magic, sequence number, counts, checksum) and records, each with its length and its CRC-32.

mod committer;
mod frame;
mod offsets;
mod recover;
mod segments;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use kbnt_application::ports::RawRecord;
use kbnt_application::{Position, Topic};
use thiserror::Error;

pub(super) use committer::{Committer, Publish, Submission};
pub(super) use offsets::{Commits, Offsets};
pub(super) use recover::recover;
pub(super) use segments::{Place, Segments};

/// Why a directory cannot be opened as a log.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// Damage before the end: cutting there would lose records that were acknowledged.
    #[error(
        "{} is damaged at byte {at} ({reason}), and there is more after it; nothing was changed. Restore the directory \
         from a copy, or move it away to begin anew",
        .file.display()
    )]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Where in it.
        at: u64,
        /// What is wrong there.
        reason: String,
    },
    /// A segment is missing.
    #[error("{} is missing, though there are later ones; nothing was changed", .0.display())]
    Missing(PathBuf),
    /// The operating system says no.
    #[error("{}: {error}", .path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { path, error }
    }
}

/// What opening a directory found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records that are there.
    pub records: u64,
    /// Bytes of an unfinished write that were cut off at the end; what they held was never acknowledged.
    pub cut: u64,
    /// How long it took to read and check everything.
    pub took: Duration,
}

/// A record as the journal holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) at: Position,
    pub(super) record: RawRecord,
}

/// Topics by the number that stands for them in the journal; never to be reordered.
const TOPICS: [Topic; 7] = [
    Topic::UserEvents,
    Topic::OrderEvents,
    Topic::PaymentEvents,
    Topic::InventoryEvents,
    Topic::NotificationEvents,
    Topic::AuditLogs,
    Topic::ApplicationLogs,
];
