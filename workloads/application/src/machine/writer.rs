//! What only a machine does that writes alone.

use std::convert::Infallible;

use super::{Delivered, Halt, Outbox, Position};

/// A machine of which one process at a time has all partitions, settled by elections in the log instead of by a group.
///
/// # How it is driven
/// 1. [`Machine::assigned`](super::Machine::assigned) for each partition, then [`Machine::fold`](super::Machine::fold) for all of its
///    own output topic, read with the fence.
/// 2. [`SoleWriter::elect`]; what it wrote is appended, and folding goes on until the election is read back in every
///    partition. A newer election that is met on the way means: `elect` again.
/// 3. [`Machine::recovered`](super::Machine::recovered) for each partition, then [`Machine::handle`](super::Machine::handle) from
///    [`SoleWriter::resume`] on.
/// 4. From then on it [follows](super::Machine::follow) its own output topic, and stops when it is [halted](SoleWriter::halted).
pub trait SoleWriter {
    /// Writes its election to every partition, with a term above every one that it has folded.
    fn elect(&mut self, outbox: &mut Outbox);

    /// Once it has recovered: the next input offsets to handle; partitions not named start at 0.
    fn resume(&self) -> Vec<Position>;

    /// These input records come next, if nothing comes between: time to bring near what they will need.
    fn prefetch(&self, _coming: &mut dyn Iterator<Item = &Delivered>) {}

    /// Why it must not write any more; the runtime then stops without writing what is in hand.
    fn halted(&self) -> Option<Halt>;
}

/// Of machines that share their work with others of a group: there is none.
impl SoleWriter for Infallible {
    fn elect(&mut self, _outbox: &mut Outbox) {}

    fn resume(&self) -> Vec<Position> {
        Vec::new()
    }

    fn halted(&self) -> Option<Halt> {
        None
    }
}
