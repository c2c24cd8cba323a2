//! What the trail comes to, as plain data.

use std::ops::Range;

use kbnt_domain::audit::Head;
use thiserror::Error;

use super::coverage::Coverage;
use super::machine::AuditMachine;
use crate::event::Writer;
use crate::machine::{Imaged, Position};

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
