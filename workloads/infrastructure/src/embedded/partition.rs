//! One partition: an append-only sequence of records.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use kbnt_application::message::Message;
use kbnt_application::ports::{Fetched, LogError, RawRecord};
use kbnt_application::{Append, Delivered, Position, Route, Topic};

use crate::wire;

/// A stored record.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// Written by one of our machines.
    Message {
        /// What it says.
        message: Arc<Message>,
        /// What it answers.
        source: Option<Position>,
    },
    /// Written as bytes.
    Raw(Arc<RawRecord>),
}

impl Entry {
    pub(super) fn of(append: Append) -> Self {
        Self::Message { message: append.message, source: append.source }
    }

    /// As a reader of events sees it.
    pub(super) fn fetched(&self, at: Position) -> Fetched {
        match self {
            Self::Message { message, source } => {
                Fetched::Record(Delivered { at, message: Arc::clone(message), source: *source })
            }
            Self::Raw(record) => wire::fetched(at, record.as_ref().clone()),
        }
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

/// One partition.
#[derive(Debug)]
pub(super) struct Partition {
    topic: Topic,
    number: u32,
    kept: RwLock<Kept>,
}

/// The newest records, in memory.
#[derive(Debug, Default)]
struct Kept {
    /// Offset of the first of them.
    first: u64,
    entries: VecDeque<Entry>,
}

impl Partition {
    pub(super) fn new(topic: Topic, number: u32) -> Self {
        Self { topic, number, kept: RwLock::default() }
    }

    /// The offset after the last record.
    pub(super) fn end(&self) -> u64 {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.first + kept.entries.len() as u64
    }

    /// Adds a record and forgets the oldest beyond `most`; its offset.
    pub(super) fn push(&self, entry: Entry, most: usize) -> Position {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        let offset = kept.first + kept.entries.len() as u64;
        kept.entries.push_back(entry);
        while kept.entries.len() > most {
            kept.entries.pop_front();
            kept.first += 1;
        }
        self.at(offset)
    }

    /// At most `most` records from `offset` on; from the oldest that is kept, if that is later.
    pub(super) fn read(&self, offset: u64, most: usize) -> Result<Vec<(u64, Entry)>, LogError> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let from = offset.max(kept.first);
        let skip = usize::try_from(from - kept.first).unwrap_or(usize::MAX);
        Ok((from..).zip(kept.entries.iter().skip(skip).take(most).cloned()).collect())
    }

    /// The position of `offset`.
    pub(super) fn at(&self, offset: u64) -> Position {
        Position { topic: self.topic, partition: self.number, offset }
    }
}
