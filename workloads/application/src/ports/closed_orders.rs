//! Where a sole writer leaves closed orders that are too many for its memory.

use std::fmt::Debug;
use std::ops::Range;

use kbnt_domain::OrderId;
use kbnt_domain::stock::image::{Chunk, ClosedOrder};
use thiserror::Error;

/// Why closed orders cannot be archived or read back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArchiveError {
    /// What it has is not what was written. It must be reset, and filled again from the log.
    #[error("the archive of closed orders is damaged: {0}")]
    Damaged(String),
    /// The disk cannot be read or written.
    #[error("the archive of closed orders is not available: {0}")]
    Unavailable(String),
}

/// An archive of closed orders, of one process alone. It is a cache of the log: a machine that folds the log from its first record
/// resets it, and one that begins with an image lets it go back to that image.
///
/// Its calls block for as long as a local disk takes.
pub trait ClosedOrderArchive: Debug + Send + Sync + 'static {
    /// Drops everything.
    fn reset(&self) -> Result<(), ArchiveError>;

    /// Goes back to the time when these were its newest chunks, and drops what lies behind them. False, and nothing is changed, if
    /// it does not have all of them as they were written.
    fn go_back_to(&self, chunks: &[Chunk]) -> Result<bool, ArchiveError>;

    /// Adds a chunk after the newest one: all of it or nothing. Returns its checksum.
    fn add(&self, chunk: &Chunk, orders: &[(u64, &ClosedOrder)]) -> Result<u32, ArchiveError>;

    /// What was added last of an order, and its place.
    fn find(&self, order: OrderId) -> Result<Option<(u64, ClosedOrder)>, ArchiveError>;

    /// What was added at these places, as far as there is anything.
    fn range(&self, places: Range<u64>) -> Result<Vec<(u64, ClosedOrder)>, ArchiveError>;

    /// Chunks that end at or before this place are not needed any more by the machine.
    fn forget(&self, before: u64) -> Result<(), ArchiveError>;
}
