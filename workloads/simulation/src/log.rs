//! The log of all topics: what is in it is durable and visible to every reader.

use std::sync::Arc;

use kbnt_application::intact::Bounds;
use kbnt_application::message::{Classification, partition_of};
use kbnt_application::ports::{Fetched, RawRecord, Unreadable};
use kbnt_application::{Append, Delivered, Position, Route, Topic};

/// The most partitions of any topic.
const PARTITIONS: usize = 3;

/// Which partition of which topic.
pub(crate) type Place = (Topic, u32);

#[derive(Debug)]
pub(crate) struct Log {
    partitions: Vec<Vec<Fetched>>,
    /// Of each partition the first offset that is kept.
    first: Vec<u64>,
    len: u64,
}

const fn index((topic, partition): Place) -> usize {
    topic as usize * PARTITIONS + partition as usize
}

/// Where a record goes.
pub(crate) fn place_of(append: &Append) -> Place {
    let topic = Classification::of(&append.message.event).topic();
    match &append.route {
        Route::Key(key) => (topic, partition_of(key, topic.partitions())),
        Route::Partition(partition) => (topic, *partition),
    }
}

impl Log {
    pub(crate) fn new() -> Self {
        let count = Topic::ALL.len() * PARTITIONS;
        Self { partitions: vec![Vec::new(); count], first: vec![0; count], len: 0 }
    }

    pub(crate) fn append(&mut self, append: &Append) -> Delivered {
        let at = self.next(place_of(append));
        let record = delivered(at, append);
        self.push(at, Fetched::Record(record.clone()));
        record
    }

    /// Where the next record of a partition lies.
    pub(crate) fn next(&self, place: Place) -> Position {
        Position { topic: place.0, partition: place.1, offset: self.end(place) }
    }

    pub(crate) fn push(&mut self, at: Position, record: Fetched) {
        self.partitions[index((at.topic, at.partition))].push(record);
        self.len += 1;
    }

    pub(crate) fn end(&self, place: Place) -> u64 {
        self.partitions[index(place)].len() as u64
    }

    /// The records of a partition before `first` are lost.
    pub(crate) fn cut(&mut self, place: Place, first: u64) {
        self.first[index(place)] = first;
    }

    /// Where these partitions end.
    pub(crate) fn ends(&self, of: &[Position]) -> Vec<Position> {
        of.iter().map(|at| Position { offset: self.end((at.topic, at.partition)), ..*at }).collect()
    }

    /// What is kept of a partition.
    pub(crate) fn bounds(&self, place: Place) -> Bounds {
        Bounds { first: self.first[index(place)], end: self.end(place) }
    }

    /// At most `most` records of a partition from `offset` on.
    pub(crate) fn slice(&self, place: Place, offset: u64, most: u64) -> &[Fetched] {
        let records = &self.partitions[index(place)];
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(records.len());
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        &records[from..from.saturating_add(most).min(records.len())]
    }

    /// The records of a partition that can be understood.
    pub(crate) fn records(&self, place: Place) -> impl Iterator<Item = &Delivered> {
        let first = usize::try_from(self.first[index(place)]).unwrap_or(usize::MAX);
        self.partitions[index(place)].iter().skip(first).filter_map(understood)
    }

    /// All of them of a topic, partition by partition.
    pub(crate) fn topic(&self, topic: Topic) -> impl Iterator<Item = &Delivered> {
        (0..topic.partitions()).flat_map(move |partition| self.records((topic, partition)))
    }

    /// All records that nobody understands.
    pub(crate) fn poison(&self) -> impl Iterator<Item = &Unreadable> {
        self.partitions.iter().flatten().filter_map(|fetched| match fetched {
            Fetched::Record(_) => None,
            Fetched::Unreadable(record) => Some(record),
        })
    }

    /// How many records were ever written.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }
}

/// `append` at its place. Its bytes stand for those of a real log: no two records have the same.
pub(crate) fn delivered(at: Position, append: &Append) -> Delivered {
    let value = Some(append.message.id.as_uuid().as_bytes().to_vec());
    let raw = RawRecord { value, ..RawRecord::default() };
    Delivered { at, message: append.message.clone(), source: append.source, raw: Some(Arc::new(raw)) }
}

/// The record, if it can be understood.
pub(crate) fn understood(fetched: &Fetched) -> Option<&Delivered> {
    match fetched {
        Fetched::Record(record) => Some(record),
        Fetched::Unreadable(_) => None,
    }
}
