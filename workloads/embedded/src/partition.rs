//! One partition: an append-only sequence of records. The newest are in memory; a durable log has all of them
//! in its journal.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kbnt_application::intact::Bounds;
use kbnt_application::message::Message;
use kbnt_application::ports::{Fetched, LogError, RawRecord};
use kbnt_application::{Append, Delivered, Position, Route, Topic};

use super::journal::Place;
use kbnt_wire::{self as wire, Bytes};

/// A stored record.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Written by one of our machines.
    Message {
        /// The message.
        message: Arc<Message>,
        /// The record that it answers.
        source: Option<Position>,
    },
    /// Written as bytes.
    Raw(Arc<RawRecord>),
}

impl Entry {
    pub(super) fn of(append: Append) -> Self {
        Self::Message { message: append.message, source: append.source }
    }

    /// In the form for readers of events.
    pub(super) fn fetched(&self, at: Position, bytes: Bytes) -> Result<Fetched, LogError> {
        Ok(match self {
            Self::Message { message, source } => {
                let raw = (bytes == Bytes::Kept).then(|| self.raw()).transpose()?.map(Arc::new);
                Fetched::Record(Delivered { at, message: Arc::clone(message), source: *source, raw })
            }
            Self::Raw(record) => wire::fetched(at, record.as_ref().clone(), bytes),
        })
    }

    /// As bytes.
    pub(super) fn raw(&self) -> Result<RawRecord, LogError> {
        match self {
            Self::Raw(record) => Ok(record.as_ref().clone()),
            Self::Message { message, source } => {
                // The route is not part of the record.
                let route = Route::Partition(0);
                let append = Append { message: Arc::clone(message), route, source: *source };
                wire::encode(&append).map_err(|error| LogError::Refused(error.to_string()))
            }
        }
    }
}

/// Records from a given offset.
pub(super) enum Found {
    /// In memory.
    Kept(Vec<(u64, Entry)>),
    /// In the journal.
    Stored(Vec<Place>),
}

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    topic: Topic,
    number: u32,
    /// The most records that are kept in memory.
    most: usize,
    records: RwLock<Records>,
}

#[derive(Debug, Default)]
struct Records {
    /// Offset of the first record in memory.
    first: u64,
    kept: VecDeque<Entry>,
    /// The place of each record in the journal, from offset 0.
    places: Vec<Place>,
}

impl Partition {
    pub(super) fn new(topic: Topic, number: u32, most: usize) -> Self {
        Self { topic, number, most, records: RwLock::default() }
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Records> {
        self.records.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Records> {
        self.records.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset after the last record.
    pub(super) fn end(&self) -> u64 {
        let records = self.read_lock();
        records.first + records.kept.len() as u64
    }

    /// The bounds of what is available, in memory or in the journal.
    pub(super) fn bounds(&self) -> Bounds {
        let records = self.read_lock();
        // A journal has all records from the first one.
        let first = if records.places.is_empty() { records.first } else { 0 };
        Bounds { first, end: records.first + records.kept.len() as u64 }
    }

    /// Adds a record; `place` is its place in the journal if the log is durable.
    pub(super) fn push(&self, entry: Entry, place: Option<Place>) -> Position {
        let mut records = self.write_lock();
        let offset = records.first + records.kept.len() as u64;
        records.kept.push_back(entry);
        records.places.extend(place);
        while records.kept.len() > self.most {
            records.kept.pop_front();
            records.first += 1;
        }
        self.at(offset)
    }

    /// Drops the oldest record in memory.
    pub(super) fn drop_first(&self) {
        let mut records = self.write_lock();
        if records.kept.pop_front().is_some() {
            records.first += 1;
        }
    }

    /// Registers a record that was found in the journal. Returns whether it is the next one.
    pub(super) fn recovered(&self, offset: u64, place: Place) -> bool {
        let mut records = self.write_lock();
        let next = records.first == offset;
        if next {
            records.places.push(place);
            records.first += 1;
        }
        next
    }

    /// At most `most` records from `offset`, or from the oldest available one if that is later.
    pub(super) fn find(&self, offset: u64, most: usize) -> Found {
        let records = self.read_lock();
        if offset < records.first && !records.places.is_empty() {
            let skip = usize::try_from(offset).unwrap_or(usize::MAX);
            let until = usize::try_from(records.first).unwrap_or(usize::MAX);
            let stored = records.places.iter().take(until).skip(skip).take(most);
            return Found::Stored(stored.copied().collect());
        }
        let from = offset.max(records.first);
        let skip = usize::try_from(from - records.first).unwrap_or(usize::MAX);
        Found::Kept((from..).zip(records.kept.iter().skip(skip).take(most).cloned()).collect())
    }

    /// The position of `offset`.
    pub(super) const fn at(&self, offset: u64) -> Position {
        Position { topic: self.topic, partition: self.number, offset }
    }
}
