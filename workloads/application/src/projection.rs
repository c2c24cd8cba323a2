//! Read models: what queries need, folded from topics of any service.

use kbnt_domain::Timestamp;

use crate::machine::Delivered;
use crate::message::{Position, Topic};

/// A read model. It sees every record of its topics, all partitions, from the first on or from the first that it
/// [looks back](Self::looks_back) to; inventory-events without the records of fenced writers. Records of different partitions arrive in
/// any order.
pub trait Projection: Send + Sync + 'static {
    /// The topics that it is folded from.
    fn topics(&self) -> &'static [Topic];

    /// How many of the newest records of each partition hold what it shows, if it need not see all.
    fn looks_back(&self) -> Option<u64> {
        None
    }

    /// Records are taken in from these positions on, one in each partition.
    fn begin(&mut self, _from: &[Position]) {}

    /// The present time, before records are taken in: none of them was written after it, whatever it says.
    fn set_clock(&mut self, _now: Timestamp) {}

    /// Takes in one record. A record that was seen before changes nothing.
    fn apply(&mut self, record: &Delivered);
}
