//! How far the event stores may be cut: what lies before the first record that anybody still needs.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::intact::Bounds;
use crate::message::{Position, Service, Topic};

/// What a log keeps of its partitions.
pub type Kept = BTreeMap<(Topic, u32), Bounds>;

/// Who needs records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// A process of this service that begins with this checkpoint.
    Checkpoint(Service, u64),
    /// A process of this service, which goes on where its group has stopped.
    Group(Service),
    /// A process of this service, which looks back over the newest records of its own topic.
    LooksBack(Service),
    /// The read models of order-service, which look back.
    ReadModels,
    /// Whoever begins with the first record, which must be one that counts.
    Beginning,
    /// Whoever cuts the log wants to keep them.
    Wish,
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint(service, number) => write!(f, "checkpoint {number} of {}", service.name()),
            Self::Group(service) => write!(f, "the consumer group of {}", service.name()),
            Self::LooksBack(service) => write!(f, "{}, which looks back", service.name()),
            Self::ReadModels => f.write_str("the read models of order-service, which look back"),
            Self::Beginning => f.write_str("whoever begins there, as its first record must count"),
            Self::Wish => f.write_str("the time to keep"),
        }
    }
}

/// Somebody needs a partition from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Who.
    pub reader: Reader,
    /// The first record.
    pub at: Position,
}

impl Need {
    /// What the group of a service needs that has committed `next`: also the record before it. It may say which records of
    /// inventory-events count.
    pub const fn committed(service: Service, next: Position) -> Self {
        Self {
            reader: Reader::Group(service),
            at: Position { offset: next.offset.saturating_sub(1), ..next },
        }
    }

    /// What a reader needs who looks back over so many of the newest records of each partition of a topic, and some more: it must not be
    /// overtaken by a cut while it begins.
    pub fn looking_back(
        reader: Reader,
        topic: Topic,
        records: u64,
        kept: &Kept,
    ) -> impl Iterator<Item = Self> {
        let of = kept.range((topic, 0)..=(topic, u32::MAX));
        of.map(move |(&(topic, partition), kept)| {
            let records = records.saturating_add(records / 10);
            let at = Position { topic, partition, offset: kept.end.saturating_sub(records) };
            Self { reader, at }
        })
    }
}

/// How a partition is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The first record that is left.
    pub to: Position,
    /// How many offsets lie before it that the log still has.
    pub records: u64,
    /// Who needs that record; of several the first. `None`: nobody is known to need any, so all of them stay.
    pub by: Option<Reader>,
}

/// How far each partition of the event stores could be cut if these are all needs.
pub fn wanted(kept: &Kept, needs: &[Need]) -> Vec<Cut> {
    let stores = kept.iter().filter(|((topic, _), _)| topic.is_event_store());
    let cut = |(&(topic, partition), kept): (&(Topic, u32), &Bounds)| {
        let here = needs.iter().filter(|need| (need.at.topic, need.at.partition) == (topic, partition));
        let first = here.min_by_key(|need| (need.at.offset, need.reader));
        let offset = first.map_or(kept.first, |need| need.at.offset.clamp(kept.first, kept.end));
        Cut {
            to: Position { topic, partition, offset },
            records: offset - kept.first,
            by: first.map(|need| need.reader),
        }
    };
    stores.map(cut).collect()
}

/// The same, but what is left of inventory-events begins with one of the records at `counting`, or nothing of a partition is cut.
///
/// Of inventory-events a reader must know whose records count. So these must count: a checkpoint found its writer at work there.
pub fn to_records_that_count(cuts: Vec<Cut>, counting: &[Position]) -> Vec<Cut> {
    let lowered = |cut: Cut| {
        let Cut { to, records, .. } = cut;
        let first = to.offset - records;
        let here = counting.iter().filter(|at| (at.topic, at.partition) == (to.topic, to.partition));
        let newest =
            here.map(|at| at.offset).filter(|at| (first..=to.offset).contains(at)).max().unwrap_or(first);
        if to.topic != Topic::InventoryEvents || newest == to.offset {
            return cut;
        }
        let to = Position { offset: newest, ..to };
        Cut { to, records: newest - first, by: Some(Reader::Beginning) }
    };
    cuts.into_iter().map(lowered).collect()
}
