//! Reads a log once, from its first record to where it ended, and remembers what its records say of each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kbnt_application::event::RecordedEvent;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{EventLog, Fetched};
use kbnt_application::{Delivered, Position, Topic};
use kbnt_domain::Span;

use crate::failure::Failure;
use crate::output;

/// Records per batch.
const BATCH: usize = 1_000;

/// How long to wait for one batch.
const WAIT: Span = Span::from_millis(500);

/// How often a long survey says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Of each partition, how many records are remembered that name its furthest offsets.
const WITNESSES: usize = 100;

/// What was found in a partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) bounds: Bounds,
    /// How many records were read.
    pub(super) records: u64,
    /// Of them, those that no service understands.
    pub(super) unreadable: u64,
    /// Offsets between the first and the last one that have no record.
    pub(super) holes: u64,
    /// The next offset, where no record is missing.
    next: u64,
    /// The furthest offsets of this partition that other records name, each with the record that does.
    named: BTreeSet<(u64, Position)>,
}

impl Partition {
    /// It begins and ends there now.
    pub(super) const fn open(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.next = bounds.first;
    }

    /// A record names this offset as one that was there before.
    fn name(&mut self, offset: u64, by: Position) {
        self.named.insert((offset, by));
        if self.named.len() > WITNESSES {
            self.named.pop_first();
        }
    }

    /// The offsets that are named and lie behind its end, the lowest first, with the records that name them.
    pub(super) fn named_behind_the_end(&self) -> Vec<(u64, Position)> {
        self.named.range((self.bounds.end, LOWEST)..).copied().collect()
    }
}

/// The first position of all.
const LOWEST: Position = Position { topic: Topic::ALL[0], partition: 0, offset: 0 };

/// All partitions of a log.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) ids: BTreeMap<Topic, TopicId>,
    pub(super) partitions: BTreeMap<(Topic, u32), Partition>,
}

impl Survey {
    /// Reads what is there now.
    ///
    /// # Errors
    /// The log does not answer, or a topic is not there.
    pub(super) async fn of(log: &dyn EventLog) -> Result<Self, Failure> {
        let mut survey = Self::default();
        for topic in Topic::EVENTS {
            survey.ids.insert(topic, log.topic_id(topic).await?);
        }
        for (topic, partition) in Topic::event_partitions() {
            let bounds = log.bounds(topic, partition).await?;
            survey.partitions.entry((topic, partition)).or_default().open(bounds);
        }
        survey.read(log).await?;
        // What a record names was there before it: so the ends to compare with are newer than the records.
        for ((topic, partition), found) in &mut survey.partitions {
            found.bounds.end = log.bounds(*topic, *partition).await?.end;
        }
        Ok(survey)
    }

    async fn read(&mut self, log: &dyn EventLog) -> Result<(), Failure> {
        let place =
            |(&(topic, partition), offset): (&(Topic, u32), u64)| Position { topic, partition, offset };
        let first = self.partitions.iter().map(|(at, found)| place((at, found.bounds.first))).collect();
        let ends: Vec<Position> =
            self.partitions.iter().map(|(at, found)| place((at, found.bounds.end))).collect();
        let all: u64 = self.partitions.values().map(|found| found.bounds.end - found.bounds.first).sum();
        let mut reader = log.read(first).await?;
        let mut said = Instant::now();
        while !reader.has_reached(&ends) {
            for fetched in reader.next(BATCH, WAIT).await? {
                self.take(&fetched);
            }
            if said.elapsed() > PROGRESS {
                said = Instant::now();
                let read: u64 = self.partitions.values().map(|found| found.records).sum();
                output::print_error(format_args!("read {read} of {all} records"));
            }
        }
        Ok(())
    }

    /// Takes in a record, unless it was written since the survey began.
    pub(super) fn take(&mut self, fetched: &Fetched) {
        let at = fetched.at();
        let Some(found) = self.partitions.get_mut(&(at.topic, at.partition)) else { return };
        if at.offset >= found.bounds.end {
            return;
        }
        found.records += 1;
        found.holes += at.offset.saturating_sub(found.next);
        found.next = at.offset + 1;
        match fetched {
            Fetched::Record(record) => self.take_names(record),
            Fetched::Unreadable(_) => found.unreadable += 1,
        }
    }

    /// The records that a record names: the one that it answers, or the one that a link of the audit trail vouches for.
    fn take_names(&mut self, record: &Delivered) {
        let vouched = match &record.message.event {
            RecordedEvent::AuditLogCreated(link) => Position::of(&link.location),
            _ => None,
        };
        for named in record.source.into_iter().chain(vouched) {
            if let Some(found) = self.partitions.get_mut(&(named.topic, named.partition)) {
                found.name(named.offset, record.at);
            }
        }
    }
}
