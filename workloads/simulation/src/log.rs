//! The log of all topics: what is in it is durable and visible to every reader.

use kbnt_application::message::{Classification, partition_of};
use kbnt_application::{Append, Delivered, Position, Route, Topic};

/// The most partitions of any topic.
const PARTITIONS: usize = 3;

/// Which partition of which topic.
pub(crate) type Place = (Topic, u32);

#[derive(Debug)]
pub(crate) struct Log {
    partitions: Vec<Vec<Delivered>>,
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
        Self { partitions: vec![Vec::new(); Topic::ALL.len() * PARTITIONS] }
    }

    pub(crate) fn append(&mut self, append: &Append) -> Delivered {
        let place = place_of(append);
        let records = &mut self.partitions[index(place)];
        let at = Position { topic: place.0, partition: place.1, offset: records.len() as u64 };
        let record = Delivered { at, message: append.message.clone(), source: append.source };
        records.push(record.clone());
        record
    }

    pub(crate) fn end(&self, place: Place) -> u64 {
        self.records(place).len() as u64
    }

    pub(crate) fn records(&self, place: Place) -> &[Delivered] {
        &self.partitions[index(place)]
    }

    pub(crate) fn read(&self, place: Place, offset: u64) -> Option<&Delivered> {
        self.records(place).get(usize::try_from(offset).ok()?)
    }

    /// All records of a topic, partition by partition.
    pub(crate) fn topic(&self, topic: Topic) -> impl Iterator<Item = &Delivered> {
        (0..topic.partitions()).flat_map(move |partition| self.records((topic, partition)))
    }

    pub(crate) fn len(&self) -> u64 {
        self.partitions.iter().map(|records| records.len() as u64).sum()
    }
}
