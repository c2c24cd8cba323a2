//! Runs: what each of them has added.

use std::str::FromStr as _;

use kbnt_application::Topic;
use kbnt_application::intact::TopicId;
use kbnt_domain::Timestamp;
use kbnt_domain::audit::{Hash, sha256};
use kbnt_wire::text::{hex, rfc3339};
use serde::{Deserialize, Serialize};

use super::{BackupError, ByPartition, FORMAT, segment};
use crate::objects::{Created, Place, numbered};

/// A run as it is written.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Run {
    format: u32,
    /// Counted from 1.
    pub(super) number: u64,
    /// The SHA-256 of the run before.
    previous: Option<String>,
    /// When it was taken.
    pub(super) taken: String,
    /// Whether every record that another one answers is there.
    pub(super) complete: bool,
    topics: Vec<NamedTopic>,
    partitions: Vec<NamedEnd>,
    pub(super) segments: Vec<Segment>,
}

/// Which topic it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NamedTopic {
    topic: String,
    id: String,
}

/// How far a partition is copied.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NamedEnd {
    topic: String,
    partition: u32,
    end: u64,
    /// The SHA-256 of the record before `end`.
    last: Option<String>,
}

/// An object with records.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Segment {
    topic: String,
    partition: u32,
    /// The offset of its first record.
    pub(super) first: u64,
    /// The offset after its last one.
    pub(super) end: u64,
    pub(super) records: u64,
    sha256: String,
}

/// How far a partition is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) end: u64,
    /// The record before `end`, if there is one.
    pub(super) last: Option<Hash>,
}

impl Segment {
    /// An object of bytes with this hash.
    pub(super) fn of(
        (topic, partition): (Topic, u32),
        first: u64,
        end: u64,
        records: u64,
        bytes: &Hash,
    ) -> Self {
        Self { topic: topic.name().to_owned(), partition, first, end, records, sha256: hex(bytes) }
    }

    /// Which partition its records are of, the name of its object and the hash of its bytes; `None` if there cannot be such a one.
    pub(super) fn object(&self) -> Option<((Topic, u32), String, Hash)> {
        let topic = Topic::from_name(&self.topic)?;
        let place = Topic::event_partitions().find(|place| *place == (topic, self.partition))?;
        let hash = unhex(&self.sha256).ok()?;
        Some((place, segment::name(place, self.first, &hash), hash))
    }
}

/// The newest run of a place, and how to go on after it.
#[derive(Debug, Default)]
pub(super) struct Newest {
    pub(super) number: u64,
    hash: Option<Hash>,
    /// Whether nothing waits to be completed.
    pub(super) complete: bool,
    pub(super) topics: Vec<(Topic, TopicId)>,
    pub(super) reached: ByPartition<Reached>,
}

/// The folder of all runs.
const RUNS: &str = "runs";

impl Place {
    /// The number of the newest run; 0 if there is none.
    pub(super) async fn newest_number(&self) -> Result<u64, BackupError> {
        Ok(self.newest_numbers(RUNS, 1).await?.first().copied().unwrap_or_default())
    }

    /// A run and its hash.
    pub(super) async fn run(&self, number: u64) -> Result<(Run, Hash), BackupError> {
        let object = numbered(RUNS, number);
        let bytes = self.get(&object).await?;
        let run: Run =
            serde_json::from_slice(&bytes).map_err(|error| self.damaged(&object, error.to_string()))?;
        if run.format != FORMAT {
            let reason = format!("format {} is none that this program reads", run.format);
            return Err(self.damaged(&object, reason).into());
        }
        if run.number != number {
            return Err(self.damaged(&object, format!("it says that it is run {}", run.number)).into());
        }
        Ok((run, sha256(&bytes)))
    }

    /// The same, which must come after the one with this hash.
    pub(super) async fn run_after(
        &self,
        number: u64,
        before: Option<Hash>,
    ) -> Result<(Run, Hash), BackupError> {
        let (run, hash) = self.run(number).await?;
        if run.previous != before.map(|hash| hex(&hash)) {
            let reason = "it does not come after the run before it";
            return Err(self.damaged(&numbered(RUNS, number), reason).into());
        }
        Ok((run, hash))
    }

    /// The newest run.
    pub(super) async fn newest(&self) -> Result<Newest, BackupError> {
        let number = self.newest_number().await?;
        if number == 0 {
            return Ok(Newest { complete: true, ..Newest::default() });
        }
        let (run, hash) = self.run(number).await?;
        let damaged = |what: &str| self.damaged(&numbered(RUNS, number), what);
        let topic = |name: &str| Topic::from_name(name).ok_or_else(|| damaged("there is no such topic"));
        let mut newest = Newest { number, hash: Some(hash), complete: run.complete, ..Newest::default() };
        for NamedTopic { topic: name, id } in &run.topics {
            let id = TopicId::from_str(id).map_err(|error| damaged(&error.to_string()))?;
            newest.topics.push((topic(name)?, id));
        }
        for NamedEnd { topic: name, partition, end, last } in &run.partitions {
            let last = last.as_deref().map(unhex).transpose().map_err(damaged)?;
            newest.reached.insert((topic(name)?, *partition), Reached { end: *end, last });
        }
        Ok(newest)
    }

    /// Writes a run after `newest`, which then is the newest.
    pub(super) async fn add(
        &self,
        newest: &mut Newest,
        segments: Vec<Segment>,
        taken: Timestamp,
        complete: bool,
    ) -> Result<(), BackupError> {
        let topics = newest.topics.iter();
        let run = Run {
            format: FORMAT,
            number: newest.number + 1,
            previous: newest.hash.map(|hash| hex(&hash)),
            taken: rfc3339(taken),
            complete,
            topics: topics
                .map(|(topic, id)| NamedTopic { topic: topic.name().into(), id: id.to_string() })
                .collect(),
            partitions: newest.reached.iter().map(named_end).collect(),
            segments,
        };
        // Numbers and texts can always be written.
        let bytes = serde_json::to_vec_pretty(&run).unwrap_or_default();
        let hash = sha256(&bytes);
        let object = numbered(RUNS, run.number);
        if self.create_object(&object, bytes).await? == Created::Other {
            return Err(BackupError::Raced(object));
        }
        (newest.number, newest.hash, newest.complete) = (run.number, Some(hash), complete);
        Ok(())
    }
}

fn named_end((&(topic, partition), reached): (&(Topic, u32), &Reached)) -> NamedEnd {
    let last = reached.last.map(|hash| hex(&hash));
    NamedEnd { topic: topic.name().to_owned(), partition, end: reached.end, last }
}

/// A hash of hexadecimal digits.
fn unhex(text: &str) -> Result<Hash, &'static str> {
    const WRONG: &str = "a hash has 64 hexadecimal digits";
    if text.len() != 64 || !text.is_ascii() {
        return Err(WRONG);
    }
    let mut hash = Hash::default();
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| WRONG)?;
    }
    Ok(hash)
}
