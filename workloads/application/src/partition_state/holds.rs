//! Which inputs must be read again after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kbnt_domain::OrderId;

use crate::machine::Position;
use crate::message::Topic;

/// The input records of one partition whose orders wait for more.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    waiting: BTreeMap<Topic, BTreeSet<(u64, OrderId)>>,
    /// Of each order the first record by topic.
    first: HashMap<OrderId, Vec<(Topic, u64)>>,
}

impl Holds {
    /// The record at `at` must be read again as long as `order` waits.
    pub fn add(&mut self, at: Position, order: OrderId) {
        let first = self.first.entry(order).or_default();
        if first.iter().all(|(topic, _)| *topic != at.topic) {
            first.push((at.topic, at.offset));
            self.waiting.entry(at.topic).or_default().insert((at.offset, order));
        }
    }

    /// The order waits no longer.
    pub fn release(&mut self, order: &OrderId) {
        for (topic, offset) in self.first.remove(order).unwrap_or_default() {
            if let Some(waiting) = self.waiting.get_mut(&topic) {
                waiting.remove(&(offset, *order));
            }
        }
    }

    /// The first record of a topic whose order waits.
    pub fn lowest(&self, topic: Topic) -> Option<u64> {
        self.waiting.get(&topic)?.first().map(|(offset, _)| *offset)
    }
}
