//! Records as a machine reads and writes them.

use std::sync::Arc;

use kbnt_domain::Timestamp;
use kbnt_domain::audit::{Hash, digest, sha256};

use crate::message::{Classification, Message, Position, Topic, partition_of};

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Where it lies.
    pub at: Position,
    /// What it says.
    pub message: Arc<Message>,
    /// The input record that it answers, as its writer noted; see [`Append::source`].
    pub source: Option<Position>,
    /// The record as it lies in the log, if whoever reads it asked for that: see [`EventLog::with_bytes`](crate::ports::EventLog).
    pub raw: Option<Arc<RawRecord>>,
}

impl Delivered {
    /// The input that the record answers, where the claim can be true: it is one of the inputs of whoever owns the topic, and of the
    /// record's own partition. Offsets of different partitions have nothing to do with each other.
    pub fn answers(&self) -> Option<Position> {
        let inputs = Classification::of(&self.message.event).owner.inputs();
        self.source.filter(|source| source.partition == self.at.partition && inputs.contains(&source.topic))
    }
}

/// Which partition a record goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The key's partition; records of one key stay in order.
    Key(String),
    /// This very partition.
    Partition(u32),
}

/// A record to be written.
#[derive(Clone, Debug)]
pub struct Append {
    /// What to write; the topic follows from the event.
    pub message: Arc<Message>,
    /// Where to.
    pub route: Route,
    /// The input record that it answers. A writer that resumes from its own output topic finds here how far it had
    /// come in its inputs, without trusting offsets that a fenced writer may have committed.
    pub source: Option<Position>,
}

impl Append {
    /// How many bytes it takes on its way, roughly.
    pub fn weight(&self) -> usize {
        self.message.weight()
    }

    /// The topic and the partition that it goes to.
    pub fn place(&self) -> (Topic, u32) {
        let topic = Classification::of(&self.message.event).topic();
        match &self.route {
            Route::Key(key) => (topic, partition_of(key, topic.partitions())),
            Route::Partition(partition) => (topic, *partition),
        }
    }
}

/// A record that says nothing we understand: malformed, or of an unknown version. It never blocks its partition.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// Where it lies.
    pub at: Position,
    /// What is wrong with it.
    pub reason: String,
    /// The record, whole.
    pub raw: Arc<RawRecord>,
}

/// A record as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRecord {
    /// The key, if it has one.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// The headers, in order; a name may stand in several.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// The log's own time of the record.
    pub at: Timestamp,
}

impl RawRecord {
    /// The SHA-256 of all of it, as the audit trail vouches for it.
    pub fn hash(&self) -> Hash {
        let Self { key, value, headers, at } = self;
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        record_hash(*at, key.as_deref(), value.as_deref().map(sha256).as_ref(), headers)
    }

    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + length(value)).sum::<usize>();
        length(&self.key) + length(&self.value) + headers
    }
}

/// The SHA-256 of a record's bytes: the log's own time of it, its key, the SHA-256 of its value, and its headers in their order.
pub(crate) fn record_hash<'a>(
    at: Timestamp,
    key: Option<&[u8]>,
    value: Option<&Hash>,
    headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
) -> Hash {
    let at = at.with_form().as_millis().to_be_bytes();
    let mut parts: Vec<&[u8]> = vec![&at];
    put_optional(&mut parts, key);
    put_optional(&mut parts, value.map(Hash::as_slice));
    for (name, value) in headers {
        parts.push(name.as_bytes());
        put_optional(&mut parts, value);
    }
    // Dead letters were the first whose bytes had a hash.
    digest("kbnt/dead-letter/1", parts)
}

fn put_optional<'a>(parts: &mut Vec<&'a [u8]>, part: Option<&'a [u8]>) {
    parts.push(if part.is_some() { b"1" } else { b"0" });
    parts.extend(part);
}
