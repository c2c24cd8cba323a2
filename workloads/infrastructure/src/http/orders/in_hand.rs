//! How many orders are taken in before others have ended: beyond that one waits for them in vain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::OrderApi;
use crate::http::problem::{Code, Problem};

/// Orders that may be in hand unless it is said otherwise: what a process does in a few seconds.
pub const ORDERS_IN_HAND: u64 = 10_000;

/// Orders in hand, and how many there may be. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InHand {
    most: u64,
    /// On their way into the log and back: the read model does not show them yet.
    placing: Arc<AtomicU64>,
}

impl InHand {
    /// At most so many.
    pub fn new(most: u64) -> Self {
        Self { most, placing: Arc::default() }
    }
}

/// An order on its way into the log and back.
pub(super) struct Placing(Arc<AtomicU64>);

impl Drop for Placing {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl OrderApi {
    /// Takes in one more order, unless too many are in hand.
    pub(super) fn begin_order(&self) -> Result<Placing, Problem> {
        let InHand { most, placing } = &self.in_hand;
        let others = placing.fetch_add(1, Ordering::AcqRel);
        let mine = Placing(Arc::clone(placing));
        let pending = self.views.read(|views| views.book.counts().pending);
        if pending.saturating_add(others) < *most {
            return Ok(mine);
        }
        let detail =
            format!("{most} orders have not ended yet, and more are not taken; this one had no effect");
        Err(Problem::new(Code::Overloaded, detail))
    }
}
