//! What the trail comes to, as plain data.

use std::ops::Range;

use kbnt_domain::audit::Head;
use thiserror::Error;

use super::coverage::Coverage;
use super::machine::AuditMachine;
use crate::event::Writer;
use crate::machine::{Imaged, Position};
use crate::message::Service;

/// How far the audit has come, by its links that were read in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditImage {
    /// Where the trail begins; `None` while there is none.
    pub begins: Option<u64>,
    /// The end of the chain.
    pub head: Head,
    /// The records that have a link.
    pub linked: Vec<Linked>,
}

/// The records of one partition that have a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The position after the last of them.
    pub next: Position,
    /// The stretches before it in which no record has one, in their order.
    pub gaps: Vec<Range<u64>>,
}

impl AuditImage {
    /// From where a process that begins with it reads each partition, at the earliest: whatever the group has committed, a record whose link
    /// was overtaken is linked again. Also the record before is read: it may say which records of inventory-events count.
    pub fn reads(&self) -> impl Iterator<Item = Position> {
        let inputs = Service::Audit.inputs().iter().copied();
        let partitions =
            inputs.flat_map(|topic| (0..topic.partitions()).map(move |partition| (topic, partition)));
        partitions.map(|(topic, partition)| {
            let linked = self
                .linked
                .iter()
                .find(|Linked { next, .. }| (next.topic, next.partition) == (topic, partition));
            let first =
                linked.map_or(0, |Linked { next, gaps }| gaps.first().map_or(next.offset, |gap| gap.start));
            Position { topic, partition, offset: first.saturating_sub(1) }
        })
    }
}

/// It is no image of any trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it contradicts itself")]
pub struct Unsound;

impl Imaged for AuditMachine {
    type Image = AuditImage;
    type Error = Unsound;

    fn image(&self) -> Option<AuditImage> {
        let (begins, head, linked) = self.known()?;
        Some(AuditImage { begins, head, linked: linked.all().collect() })
    }

    fn restore(&mut self, image: AuditImage) -> Result<Option<Writer>, Unsound> {
        let AuditImage { begins, head, linked } = image;
        self.begin_with(begins, head, Coverage::of(linked).ok_or(Unsound)?);
        Ok(None)
    }
}
