//! How far the inputs were handled.

use std::collections::BTreeMap;

use crate::machine::Position;
use crate::message::Topic;

/// Tells records that were handled before from new ones: those of a partition come in the order of their offsets.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    next: BTreeMap<(Topic, u32), u64>,
}

impl Inputs {
    /// Whether the record at this position is new; from now on it is not.
    pub fn advance(&mut self, at: Position) -> bool {
        let next = self.next.entry((at.topic, at.partition)).or_default();
        let new = at.offset >= *next;
        if new {
            *next = at.offset.saturating_add(1);
        }
        new
    }

    /// Whether the record at this position was handled.
    pub fn has(&self, at: Position) -> bool {
        at.offset < self.next(at.topic, at.partition)
    }

    /// The offset after the last record, of each partition that had one.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.next.iter().map(|(&(topic, partition), &offset)| Position { topic, partition, offset })
    }

    /// The offset after the last record of a partition; 0 if there was none.
    pub fn next(&self, topic: Topic, partition: u32) -> u64 {
        self.next.get(&(topic, partition)).copied().unwrap_or_default()
    }
}

/// All before these positions was handled.
impl FromIterator<Position> for Inputs {
    fn from_iter<I: IntoIterator<Item = Position>>(positions: I) -> Self {
        let next = positions.into_iter().map(|at| ((at.topic, at.partition), at.offset)).collect();
        Self { next }
    }
}
