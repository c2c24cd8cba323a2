//! What becomes of checkpoints.

use std::time::Duration;

use kbnt_domain::Timestamp;

use super::CheckpointError;

/// What became of a checkpoint.
#[derive(Debug)]
pub enum CheckpointEvent {
    /// It is kept.
    Kept {
        /// When its snapshot was taken.
        taken: Timestamp,
        /// Its number.
        number: u64,
        /// Bytes that were written for it.
        bytes: u64,
        /// How long that took.
        took: Duration,
    },
    /// Another process has kept one, so that none was due.
    Covered {
        /// When the snapshot of that one was taken.
        by: Timestamp,
    },
    /// It could not be kept.
    Failed(CheckpointError),
    /// A start began with it.
    Fetched {
        /// When its snapshot was taken.
        taken: Timestamp,
        /// Its number.
        number: u64,
        /// Closed orders that the archive was filled with, or orders that the history was.
        orders: u64,
        /// How long that took.
        took: Duration,
    },
}
