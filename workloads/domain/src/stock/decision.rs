//! What the ledger is asked and what it answers.

use crate::event::{Basket, Event};
use crate::{OrderId, Span, Timestamp};

use super::credit::CreditId;

/// The rules that an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockTerms {
    /// How long a reservation holds.
    pub ttl: Span,
    /// For products that were declared without a threshold.
    pub low_stock_threshold: u64,
    /// Commands that are older are refused, and an ended order is remembered for longer than this.
    pub window: Span,
}

impl Default for StockTerms {
    /// 15 minutes, 10 units, 24 hours.
    fn default() -> Self {
        Self { ttl: Span::from_minutes(15), low_stock_threshold: 10, window: Span::from_minutes(24 * 60) }
    }
}

/// How far apart the clocks of the services may be. Ended orders are remembered for so much longer than commands are
/// taken, and a command that is dated so far ahead is not taken either: otherwise it could come again after its end is
/// forgotten.
pub(super) const SKEW: Span = Span::from_minutes(60);

/// An order whose customer is good.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The order.
    pub order: OrderId,
    /// What it asks for.
    pub basket: &'a Basket,
    /// When it was placed.
    pub placed_at: Timestamp,
}

/// An event that a decision emits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmittedEvent {
    /// The event.
    pub event: Event,
    /// What to [settle](super::Ledger::settle) once its record is safe.
    pub frees: Option<CreditId>,
}

impl<E: Into<Event>> From<E> for EmittedEvent {
    fn from(event: E) -> Self {
        Self { event: event.into(), frees: None }
    }
}

/// How a decision went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its events are emitted.
    Decided,
    /// It was decided before, or there is nothing to decide (any more).
    Repeated,
    /// The order is known with another basket, or the payment is for a reservation that is not the order's; no effect.
    Conflict,
    /// Too old to be taken, and nothing depends on an answer.
    Stale,
    /// It depends on units whose freeing is not safe yet: ask again after the next [`super::Ledger::settle`]. What was due
    /// has expired; nothing else happened.
    Waits,
    /// The ledger is not open, or closed itself because its books do not balance.
    Closed,
}
