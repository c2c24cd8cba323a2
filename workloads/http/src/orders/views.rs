//! The read models of order-service: all orders, the newest events, and waiting requests. They are folded
//! together, so that every read sees a single moment.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kbnt_application::projections::{BookLimits, OrderBook};
use kbnt_application::{Delivered, Position, Projection, Topic};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Timestamp};
use tokio::sync::oneshot;

use super::underway::Underway;
use super::waiting::Waiting;
use crate::events::Feed;

/// The read models of order-service.
#[derive(Debug, Default)]
pub struct OrderViews {
    /// All orders.
    pub(crate) book: OrderBook,
    /// The newest events.
    pub(crate) feed: Feed,
    waiting: Mutex<Waiting>,
    underway: Mutex<Underway>,
}

impl OrderViews {
    /// The empty read models.
    pub fn new(limits: BookLimits) -> Self {
        Self { book: OrderBook::new(limits), ..Self::default() }
    }

    /// The same, of a process that has at most so many orders in hand.
    #[must_use]
    pub fn taking(self, most: u64) -> Self {
        Self { underway: Mutex::new(Underway::new(most)), ..self }
    }

    /// How many orders may be on their way to an answer of the inventory now.
    pub fn admitted(&self) -> u64 {
        self.underway().limit()
    }

    pub(super) fn underway(&self) -> MutexGuard<'_, Underway> {
        self.underway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All orders.
    pub const fn book(&self) -> &OrderBook {
        &self.book
    }

    /// The offset after the last record of each partition that says what became of an order.
    pub(super) fn positions(&self) -> Vec<Position> {
        let mut positions = Vec::new();
        for topic in OrderBook::TOPICS.iter().copied() {
            for partition in 0..topic.partitions() {
                positions.push(Position { topic, partition, offset: self.feed.next(topic, partition) });
            }
        }
        positions
    }

    /// `None` if the record at `position` is folded already.
    pub(super) fn once_folded(&self, position: Position) -> Option<oneshot::Receiver<()>> {
        if self.feed.next(position.topic, position.partition) > position.offset {
            return None;
        }
        Some(self.waiting.lock().unwrap_or_else(PoisonError::into_inner).for_record(position))
    }

    /// `None` if the order has ended already.
    pub(super) fn once_ended(&self, order: OrderId) -> Option<oneshot::Receiver<()>> {
        if self.book.status(&order).is_some_and(|status| status != OrderStatus::Pending) {
            return None;
        }
        Some(self.waiting.lock().unwrap_or_else(PoisonError::into_inner).for_end(order))
    }
}

impl Projection for OrderViews {
    fn topics(&self) -> &'static [Topic] {
        self.book.topics()
    }

    fn looks_back(&self) -> Option<u64> {
        self.book.looks_back()
    }

    fn begin(&mut self, from: &[Position]) {
        self.feed.begin(from);
    }

    fn set_clock(&mut self, now: Timestamp) {
        self.book.set_clock(now);
    }

    fn apply(&mut self, record: &Delivered) {
        self.book.apply(record);
        self.feed.push(record);
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        if record.at.topic == Topic::OrderEvents {
            waiting.folded(record);
        }
        waiting.ended(record);
        self.underway.get_mut().unwrap_or_else(PoisonError::into_inner).folded(record);
    }
}
