//! What only a machine does that writes alone.

use std::convert::Infallible;
use std::fmt::Display;

use crate::event::Writer;

use super::{Delivered, Halt, Machine, Outbox, Position};

/// The image of a machine that writes alone.
pub type ImageOf<M> = <<M as Machine>::Sole as SoleWriter>::Image;

/// A machine of which one process at a time has all partitions, settled by elections in the log instead of by a group.
///
/// # How it is driven
/// 1. [`Machine::assigned`] for each partition, then [`Machine::fold`] for all of its own output topic, read with the fence.
/// 2. [`SoleWriter::elect`]; what it wrote is appended, and folding goes on until the election is read back in every
///    partition. A newer election that is met on the way means: `elect` again.
/// 3. [`Machine::recovered`] for each partition, then [`Machine::handle`] from [`SoleWriter::resume`] on.
/// 4. From then on it [follows](Machine::follow) its own output topic, and stops when it is [halted](SoleWriter::halted).
///
/// Between batches, when all that it wrote is acknowledged, its [`SoleWriter::image`] may be taken. Once the last record of its
/// own in each partition is read back below any newer election, the image is a snapshot, and a later start may begin with
/// [`SoleWriter::restore`] instead of with the first record: it folds what lies behind those records, and reads its inputs from
/// where they were held at the time of the image, or where [`SoleWriter::resume`] is further, from there.
pub trait SoleWriter {
    /// All that it knows, as plain data.
    type Image: Send + 'static;

    /// Why an image is of no use.
    type Error: Display;

    /// Writes its election to every partition, with a term above every one that it has folded.
    fn elect(&mut self, outbox: &mut Outbox);

    /// Once it has recovered: the next input offsets to handle; partitions not named start at 0.
    fn resume(&self) -> Vec<Position>;

    /// These input records come next, if nothing comes between: time to bring near what they will need.
    fn prefetch(&self, _coming: &mut dyn Iterator<Item = &Delivered>) {}

    /// Why it must not write any more; the runtime then stops without writing what is in hand.
    fn halted(&self) -> Option<Halt>;

    /// At work: all that it knows, as if everything that it wrote were read back.
    fn image(&self) -> Option<Self::Image>;

    /// Before it has seen anything: takes up what an image knows, instead of folding what it stands for. Returns the writer that
    /// the image was taken of: records of older ones do not count from there on.
    fn restore(&mut self, image: Self::Image) -> Result<Writer, Self::Error>;
}

/// Of machines that share their work with others of a group: there is none.
impl SoleWriter for Infallible {
    type Image = Self;
    type Error = Self;

    fn elect(&mut self, _outbox: &mut Outbox) {}

    fn resume(&self) -> Vec<Position> {
        Vec::new()
    }

    fn halted(&self) -> Option<Halt> {
        None
    }

    fn image(&self) -> Option<Self> {
        None
    }

    fn restore(&mut self, image: Self) -> Result<Writer, Self> {
        match image {}
    }
}
