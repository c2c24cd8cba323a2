//! Read models: what queries need.

mod cursor;
mod order;
mod orders;
#[cfg(test)]
mod tests;
mod users;

pub use cursor::{Cursor, InvalidCursor};
pub use order::{OrderEntry, OrderEvent, OrderView, Placed, Placement, TimelineEntry};
pub use orders::{BookLimits, Counts, OrderBook, Page};
pub use users::UserDirectory;
