//! Which inputs must be read again after a restart.

use std::collections::{BTreeMap, VecDeque};

use kbnt_domain::OrderId;

use crate::machine::Position;
use crate::message::Topic;

/// Input records by the order that waits for more, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Holds {
    waiting: BTreeMap<Topic, VecDeque<(u64, OrderId)>>,
}

impl Holds {
    /// The record at `at` counts for `order`. Records of a topic are added in the order of their offsets; `open` tells
    /// which orders still wait.
    pub fn add(&mut self, at: Position, order: OrderId, open: impl Fn(&OrderId) -> bool) {
        let waiting = self.waiting.entry(at.topic).or_default();
        while waiting.front().is_some_and(|(_, order)| !open(order)) {
            waiting.pop_front();
        }
        waiting.push_back((at.offset, order));
    }

    /// The first record of a topic whose order still waits.
    pub fn lowest(&self, topic: Topic, open: impl Fn(&OrderId) -> bool) -> Option<u64> {
        self.waiting.get(&topic)?.iter().find(|(_, order)| open(order)).map(|(offset, _)| *offset)
    }
}
