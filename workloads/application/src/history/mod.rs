//! The history: every order that the log has ever held, in a store on disk. It is a read model: it decides nothing, and the log
//! is always believed before it. Of commands it only answers those that were given before.
//!
//! The store holds one [`StoredOrder`] per order and how far the log is applied. [`Fold`] makes a [`Batch`] of records and of what the
//! store has of their orders; the store applies it as a whole or not at all. So at every moment the store equals a fold of the records
//! before its positions, whatever batches they came in.

mod codes;
mod fold;
mod progress;
mod search;
#[cfg(test)]
mod tests;

use kbnt_domain::{OrderId, ProductId};

use crate::projections::{Cursor, OrderEntry};

pub use codes::{event_code, event_kind};
pub use fold::{Fold, UnknownProgress};
pub use progress::{Progress, Reached};
pub use search::{Amount, Filter, Gathered, InvalidAmount, LOOKS_MOST, Search};

/// An order as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    /// The order.
    pub order: OrderId,
    /// What the read model keeps of it.
    pub entry: OrderEntry,
    /// The products of its basket, each once, sorted; none until it is placed.
    pub products: Vec<ProductId>,
}

/// What records make of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Orders as they are from now on.
    pub orders: Vec<StoredOrder>,
    /// How far the log is applied with them. It follows on the store's own: its revision is the next one.
    pub progress: Progress,
}

impl StoredOrder {
    /// Where it stands in the list of orders; `None` if it was not placed.
    pub fn cursor(&self) -> Option<Cursor> {
        self.entry.placed.as_ref().map(|placed| Cursor { placed_at: placed.at, order: self.order })
    }
}
