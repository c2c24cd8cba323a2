//! What only a machine does that writes down what others did.

use std::ops::Range;

use super::{Append, Outbox, Position, Unreadable};
use crate::message::Topic;

/// A machine that writes down what all others did, and misses nothing of it: when the process is told to stop, it still takes in what
/// is there already.
pub trait Auditor {
    /// There is an input record that nobody understands. Whoever keeps it must keep it whole.
    fn unreadable(&mut self, record: &Unreadable, outbox: &mut Outbox);

    /// What to write where the log has refused `append` for its size; `None` if that was the least.
    fn shortened(&self, append: &Append) -> Option<Append>;

    /// Stretches of an input partition below the committed offset of which its own records do not say that they were handled.
    /// They are read again before anything new: its own records count, and a commit is never believed against them.
    fn unanswered(&self, topic: Topic, partition: u32, committed: u64) -> Vec<Range<u64>>;

    /// Of partitions of event stores that it reads the position after the last record that was there, as its own records say: known
    /// once it has followed them all.
    fn witnessed(&self) -> Vec<Position>;
}
