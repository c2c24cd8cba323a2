//! What a machine knows, as plain data, so that a start need not fold all of it.

use std::convert::Infallible;
use std::fmt::Display;

use crate::event::Writer;

use super::Machine;

/// The image of a machine.
pub type ImageOf<M> = <<M as Machine>::Imaged as Imaged>::Image;

/// A machine that takes images of itself: one that writes alone, or a member of a group that
/// [follows everything](super::Follows::Everything).
///
/// Between batches, when all that it wrote is acknowledged, an image may be taken. It is a snapshot once the machine's own last
/// records are read back, of a sole writer below any newer election. A later start may begin with [`Imaged::restore`] instead of
/// with the first record. It goes on at the positions that belong to the snapshot:
/// - A sole writer folds what lies behind its own last record of each partition, and reads its inputs from where they were held at
///   the time of the image, or where [`SoleWriter::resume`](super::SoleWriter::resume) is further, from there.
/// - A member follows what lies behind the last record that it had read of each partition. Of these records its image may know
///   some: those that it had written itself, or had folded when it got a partition.
pub trait Imaged {
    /// All that it knows.
    type Image: Send + 'static;

    /// Why an image is of no use.
    type Error: Display;

    /// At work: all that it knows, as if everything that it wrote were read back. `None`: not now.
    fn image(&self) -> Option<Self::Image>;

    /// Before it has seen anything: takes up what an image knows. Returns the writer that the image was taken of, if it
    /// writes alone: records of older ones do not count from there on.
    fn restore(&mut self, image: Self::Image) -> Result<Option<Writer>, Self::Error>;
}

/// Of machines that take no images.
impl Imaged for Infallible {
    type Image = Self;
    type Error = Self;

    fn image(&self) -> Option<Self> {
        None
    }

    fn restore(&mut self, image: Self) -> Result<Option<Writer>, Self> {
        match image {}
    }
}
