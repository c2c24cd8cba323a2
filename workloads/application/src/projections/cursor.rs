//! Where a page of orders ends.

use std::fmt;
use std::str::FromStr;

use kbnt_domain::{OrderId, Timestamp};
use thiserror::Error;

/// The last order of a page, newest first: it means the same in every process, and whatever has come since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// When it was placed.
    pub placed_at: Timestamp,
    /// The order.
    pub order: OrderId,
}

/// A text that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a cursor of this list")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.placed_at.as_millis(), self.order)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (millis, order) = text.split_once('_').ok_or(InvalidCursor)?;
        let placed_at = Timestamp::from_millis(millis.parse().map_err(|_| InvalidCursor)?);
        let cursor = Self { placed_at, order: order.parse().map_err(|_| InvalidCursor)? };
        // As it was given out, and not otherwise.
        if cursor.to_string() == text { Ok(cursor) } else { Err(InvalidCursor) }
    }
}
