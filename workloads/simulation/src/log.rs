//! The log of all topics: what is in it is durable and visible to every reader.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbnt_application::intact::Bounds;
use kbnt_application::ports::{Fetched, RawRecord};
use kbnt_application::{Append, Delivered, Position, Topic};

/// The most partitions of any topic.
const PARTITIONS: usize = 3;

/// Which partition of which topic.
pub(crate) type Place = (Topic, u32);

#[derive(Debug, Default)]
pub(crate) struct Log {
    partitions: [[Vec<Fetched>; PARTITIONS]; Topic::ALL.len()],
    /// The first offset that is kept, where the records before it are cut or lost.
    pub(crate) first: BTreeMap<Place, u64>,
    /// Some are lost.
    pub(crate) lost: bool,
}

impl Log {
    pub(crate) fn append(&mut self, append: &Append) -> Delivered {
        let at = self.next(append.place());
        let record = delivered(at, append);
        self.push(at, Fetched::Record(record.clone()));
        record
    }

    /// Where the next record of a partition lies.
    pub(crate) fn next(&self, place: Place) -> Position {
        Position { topic: place.0, partition: place.1, offset: self.end(place) }
    }

    pub(crate) fn push(&mut self, at: Position, record: Fetched) {
        self.partitions[at.topic as usize][at.partition as usize].push(record);
    }

    pub(crate) fn end(&self, place: Place) -> u64 {
        self.partition(place).len() as u64
    }

    /// What is kept of these partitions.
    pub(crate) fn bounds(&self, of: &[Position]) -> Vec<Bounds> {
        of.iter().map(|at| self.kept((at.topic, at.partition))).collect()
    }

    /// What is kept of a partition.
    pub(crate) fn kept(&self, place: Place) -> Bounds {
        Bounds { first: self.first.get(&place).copied().unwrap_or(0), end: self.end(place) }
    }

    /// Where these partitions end.
    pub(crate) fn ends(&self, of: &[Position]) -> Vec<Position> {
        of.iter().map(|at| self.next((at.topic, at.partition))).collect()
    }

    fn partition(&self, (topic, partition): Place) -> &[Fetched] {
        &self.partitions[topic as usize][partition as usize]
    }

    /// At most `most` records of a partition from `offset` on.
    pub(crate) fn slice(&self, place: Place, offset: u64, most: u64) -> &[Fetched] {
        let records = self.partition(place);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(records.len());
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        &records[from..from.saturating_add(most).min(records.len())]
    }

    /// All that was written to a topic, partition by partition.
    pub(crate) fn written(&self, topic: Topic) -> impl Iterator<Item = &Fetched> {
        (0..topic.partitions()).flat_map(move |partition| self.partition((topic, partition)))
    }

    /// The records of a topic that can be understood.
    pub(crate) fn topic(&self, topic: Topic) -> impl Iterator<Item = &Delivered> {
        self.written(topic).filter_map(Fetched::record)
    }

    /// How many records were ever written.
    pub(crate) fn len(&self) -> usize {
        self.partitions.as_flattened().iter().map(Vec::len).sum()
    }
}

/// `append` at its place. Its bytes stand for those of a real log: no two records have the same.
pub(crate) fn delivered(at: Position, append: &Append) -> Delivered {
    let value = Some(append.message.id.as_uuid().as_bytes().to_vec());
    let raw = RawRecord { value, ..RawRecord::default() };
    Delivered { at, message: append.message.clone(), source: append.source, raw: Some(Arc::new(raw)) }
}
