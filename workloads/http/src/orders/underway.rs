//! The orders that this process has taken and the inventory has not answered yet.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kbnt_application::{Delivered, Topic};
use kbnt_domain::{Event, OrderId};

use super::admission::Admission;
use super::in_hand::ORDERS_IN_HAND;

/// After so long an order makes room for another one. It may never have come into the log.
const FORGOTTEN: Duration = Duration::from_mins(1);

/// Orders on their way to an answer, and how many there may be.
#[derive(Debug)]
pub(super) struct Underway {
    /// When each was taken.
    taken: HashMap<OrderId, Duration>,
    admission: Admission,
    /// Times are counted from here.
    began: Instant,
}

impl Default for Underway {
    fn default() -> Self {
        Self::new(ORDERS_IN_HAND)
    }
}

impl Underway {
    /// At most so many.
    pub(super) fn new(most: u64) -> Self {
        Self { taken: HashMap::new(), admission: Admission::new(most), began: Instant::now() }
    }

    /// How many there may be now.
    pub(super) const fn limit(&self) -> u64 {
        self.admission.limit()
    }

    /// Takes an order, unless there are as many as there may be: so many.
    pub(super) fn take(&mut self, order: OrderId) -> Result<(), u64> {
        let (now, limit) = (self.began.elapsed(), self.limit());
        if self.taken.len() as u64 >= limit {
            self.taken.retain(|_, taken| now.saturating_sub(*taken) < FORGOTTEN);
        }
        if self.taken.len() as u64 >= limit {
            return Err(limit);
        }
        self.taken.insert(order, now);
        Ok(())
    }

    /// The order has not come into the log.
    pub(super) fn give_up(&mut self, order: &OrderId) {
        self.taken.remove(order);
    }

    /// A record is folded: it may be the answer to an order, or say how one ended without any.
    pub(super) fn folded(&mut self, record: &Delivered) {
        let ends = |event: &Event| matches!(event, Event::OrderCancelled(_) | Event::OrderRepeated(_));
        let answers =
            record.at.topic == Topic::InventoryEvents || record.message.event.business().is_some_and(ends);
        if answers
            && let Some(order) = record.message.order()
            && let Some(taken) = self.taken.remove(&order)
        {
            self.admission.answered(taken, self.began.elapsed());
        }
    }
}
