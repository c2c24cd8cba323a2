//! The history of all orders: its store, and how others look at it.

use std::collections::HashMap;

use async_trait::async_trait;
use kbnt_domain::{OrderId, Timestamp};
use thiserror::Error;

use crate::history::{Batch, Progress, Search, StoredOrder};
use crate::machine::Position;
use crate::projections::{OrderEntry, Page};

/// Why the history could not do it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// The store cannot be read or written now.
    #[error("the history is not available: {0}")]
    Unavailable(String),
    /// As much is read at once as may be.
    #[error("the history answers as many searches as it may")]
    Busy,
    /// What is stored is not what was written: it is to be built anew from the log.
    #[error("the history is damaged: {0}")]
    Damaged(String),
    /// What is stored is whole, and is another log's, or was written by another version of the program.
    #[error("the history is not this program's of this log: {0}")]
    Foreign(String),
    /// The batch does not follow on what is stored: somebody else, or an earlier try, has applied it.
    #[error("the history has gone on meanwhile")]
    Conflict,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistorySize {
    /// Orders.
    pub orders: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Stores the history. It is a cache of the log. Several processes may share a store: one of them applies the log, and the others follow
/// how far that has come.
#[async_trait]
pub trait HistoryStore: Send + Sync + 'static {
    /// Whether other processes may have it, too. Then what is [foreign](HistoryError::Foreign) is theirs, and stays as it is.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether it is this process that applies the log now. One that has its turn asks again every second or so to keep it. It only
    /// saves work: a batch of whoever has no turn is refused if it does not follow, and harms nothing if it does.
    async fn take_turn(&self) -> Result<bool, HistoryError> {
        Ok(true)
    }

    /// Lets another process have the turn.
    async fn yield_turn(&self) {}

    /// How far the log is applied to what is stored.
    async fn progress(&self) -> Result<Progress, HistoryError>;

    /// What is stored of these orders; of some it may be nothing.
    async fn stored(&self, orders: Vec<OrderId>) -> Result<HashMap<OrderId, StoredOrder>, HistoryError>;

    /// Applies a batch as a whole, or not at all: then the store is as before.
    async fn apply(&self, batch: Batch) -> Result<(), HistoryError>;

    /// What is kept of one order.
    async fn get(&self, order: OrderId) -> Result<Option<OrderEntry>, HistoryError>;

    /// A page of orders; [`Gathered`](crate::history::Gathered) decides which.
    async fn search(&self, search: Search) -> Result<Page, HistoryError>;

    /// Drops at most `most` orders that have ended and were placed before `before`; how many those were.
    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, HistoryError>;

    /// Sets aside all that is stored, and begins anew. A shared store is set aside only by the process whose turn it is.
    async fn reset(&self) -> Result<(), HistoryError>;

    /// How much is stored.
    async fn size(&self) -> Result<HistorySize, HistoryError>;
}

/// How far behind the log the history may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Everything that was in the log at this time is applied; `None` as long as that is not known of any time.
    pub as_of: Option<Timestamp>,
    /// Everything is applied that was in the log when the process started.
    pub ready: bool,
    /// Records that were to be applied when somebody last looked.
    pub lag: u64,
}

/// A history that is kept up to date.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// How far behind it may be; what is read after this is no older.
    fn standing(&self) -> Standing;

    /// Returns once the records before all of these positions are applied.
    async fn reached(&self, positions: &[Position]);

    /// What is kept of one order.
    async fn get(&self, order: OrderId) -> Result<Option<OrderEntry>, HistoryError>;

    /// A page of orders.
    async fn search(&self, search: Search) -> Result<Page, HistoryError>;
}
