//! Takes a backup: copies what is new in the log.

use kbnt_application::event::RecordedEvent;
use kbnt_application::ports::{EventLog, Fetched, LogReader};
use kbnt_application::{Position, Topic};
use kbnt_domain::audit::{Hash, sha256};
use kbnt_domain::{Span, Timestamp};

use super::run::{Newest, Reached, Segment};
use super::segment::{self, Builder};
use super::{BackupError, ByPartition, MARK, at};
use crate::objects::{Created, Place};

/// Records per batch.
const BATCH: usize = 1_000;

/// How long to wait for one batch.
const WAIT: Span = Span::from_millis(500);

/// Segments of one run; what comes after them is added by the next one.
const SEGMENTS: usize = 1_000;

/// What was added to a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Records.
    pub records: u64,
    /// Objects.
    pub objects: u64,
    /// Offsets without a record.
    pub holes: u64,
    /// Runs that there are now.
    pub runs: u64,
}

/// A backup that is being taken.
struct Copy<'a> {
    log: &'a dyn EventLog,
    place: &'a Place,
    now: Timestamp,
    newest: Newest,
    /// How far each partition is to be copied.
    until: ByPartition<u64>,
    /// The offset after the furthest record of each partition that a copied one names.
    named: ByPartition<u64>,
    open: ByPartition<Builder>,
    segments: Vec<Segment>,
    taken: Taken,
}

/// Copies what has come into `log` since the newest run, and what a run that was interrupted has left out.
///
/// # Errors
/// The log is not the one of which the place has a backup, has lost records since, or does not begin with its first record; or
/// one of them does not answer.
pub async fn take(log: &dyn EventLog, place: &Place, now: Timestamp) -> Result<Taken, BackupError> {
    place.prepare(&MARK).await?;
    let newest = place.newest().await?;
    let mut copy = Copy {
        log,
        place,
        now,
        newest,
        until: ByPartition::new(),
        named: ByPartition::new(),
        open: ByPartition::new(),
        segments: Vec::new(),
        taken: Taken::default(),
    };
    copy.identify().await?;
    for place in Topic::event_partitions() {
        copy.begin(place).await?;
    }
    loop {
        copy.copy().await?;
        // The log goes on meanwhile: what was copied may answer records that came after the ends that were seen.
        if !copy.extend().await? {
            break;
        }
    }
    copy.end().await
}

impl Copy<'_> {
    async fn identify(&mut self) -> Result<(), BackupError> {
        let mut topics = Vec::new();
        for topic in Topic::EVENTS {
            topics.push((topic, self.log.topic_id(topic).await?));
        }
        for (topic, known) in &self.newest.topics {
            if let Some((_, found)) = topics.iter().find(|(other, found)| other == topic && found != known) {
                return Err(BackupError::Replaced { topic: *topic, known: *known, found: *found });
            }
        }
        self.newest.topics = topics;
        Ok(())
    }

    /// Finds out where to go on in a partition, and how far.
    async fn begin(&mut self, place: (Topic, u32)) -> Result<(), BackupError> {
        let bounds = self.log.bounds(place.0, place.1).await?;
        let before = self.newest.reached.get(&place).copied();
        let wanted = before.map_or(0, |reached| reached.end);
        if wanted > bounds.end {
            return Err(BackupError::Short { end: at(place, bounds.end), wanted });
        }
        if wanted < bounds.first {
            let first = at(place, bounds.first);
            if place.0.is_event_store() {
                return Err(BackupError::Cut { first, wanted });
            }
            // Older records have expired.
            self.newest.reached.insert(place, Reached { end: bounds.first, last: None });
        } else if let Some(Reached { end, last: Some(last) }) = before
            && end > bounds.first
        {
            let last_at = at(place, end - 1);
            if hash_at(self.log, last_at).await? != Some(last) {
                return Err(BackupError::Differs(last_at));
            }
        }
        self.newest.reached.entry(place).or_default();
        self.until.insert(place, bounds.end);
        Ok(())
    }

    /// Copies up to the ends.
    async fn copy(&mut self) -> Result<(), BackupError> {
        let left = |(place, until): (&(Topic, u32), &u64)| {
            let from = self.newest.reached.get(place).map_or(0, |reached| reached.end);
            (from < *until).then_some((at(*place, from), at(*place, *until)))
        };
        let (from, ends): (Vec<Position>, Vec<Position>) = self.until.iter().filter_map(left).unzip();
        if from.is_empty() {
            return Ok(());
        }
        let mut reader = self.log.with_bytes().read(from).await?;
        while !reader.has_reached(&ends) {
            for fetched in reader.next(BATCH, WAIT).await? {
                // At once, so that an object is no larger than the last of its records makes it.
                if self.push(&fetched) {
                    self.close(Builder::is_full).await?;
                }
            }
            if self.segments.len() >= SEGMENTS {
                self.add(false).await?;
            }
        }
        // A partition may end with what is no record.
        for end in ends {
            let reached = self.newest.reached.entry((end.topic, end.partition)).or_default();
            if reached.end < end.offset {
                self.taken.holes += end.offset - reached.end;
                *reached = Reached { end: end.offset, last: None };
            }
        }
        Ok(())
    }

    /// Adds a record; whether its object is full now.
    fn push(&mut self, fetched: &Fetched) -> bool {
        let found = fetched.at();
        let place = (found.topic, found.partition);
        let (Some(until), Some(raw)) = (self.until.get(&place), fetched.raw()) else { return false };
        let reached = self.newest.reached.entry(place).or_default();
        if found.offset >= *until || found.offset < reached.end {
            return false;
        }
        self.taken.holes += found.offset - reached.end;
        self.taken.records += 1;
        *reached = Reached { end: found.offset + 1, last: Some(raw.hash()) };
        let object = self.open.entry(place).or_default();
        object.push(found.offset, raw);
        let is_full = object.is_full();
        if let Fetched::Record(record) = fetched {
            let vouched = match &record.message.event {
                RecordedEvent::AuditLogCreated(link) => Position::of(&link.location),
                _ => None,
            };
            for named in record.source.into_iter().chain(vouched) {
                let furthest = self.named.entry((named.topic, named.partition)).or_default();
                *furthest = named.offset.saturating_add(1).max(*furthest);
            }
        }
        is_full
    }

    /// Writes the segments that are to be closed.
    async fn close(&mut self, which: impl Fn(&Builder) -> bool) -> Result<(), BackupError> {
        let closed: Vec<_> = self.open.extract_if(.., |_, builder| which(builder)).collect();
        for (place, Builder { first, records, bytes }) in closed {
            let end = self.newest.reached.get(&place).map_or(first, |reached| reached.end);
            let hash = sha256(&bytes);
            let object = segment::name(place, first, &hash);
            self.segments.push(Segment::of(place, first, end, records as u64, &hash));
            self.taken.objects += 1;
            // It may be there before, from a run that was interrupted.
            if self.place.create_object(&object, bytes).await? == Created::Other {
                return Err(self.place.damaged(&object, "it has other bytes than its name says").into());
            }
        }
        Ok(())
    }

    /// Names in a run what was copied.
    async fn add(&mut self, complete: bool) -> Result<(), BackupError> {
        self.close(|_| true).await?;
        let segments = std::mem::take(&mut self.segments);
        self.place.add(&mut self.newest, segments, self.now, complete).await
    }

    /// Goes on to the records that the copied ones name; false if all of them are there. What the log itself does not have
    /// cannot be copied.
    async fn extend(&mut self) -> Result<bool, BackupError> {
        let mut further = false;
        for (place, named) in std::mem::take(&mut self.named) {
            let Some(until) = self.until.get_mut(&place).filter(|until| **until < named) else { continue };
            let end = self.log.bounds(place.0, place.1).await?.end.min(named);
            further |= end > *until;
            *until = end.max(*until);
        }
        Ok(further)
    }

    async fn end(mut self) -> Result<Taken, BackupError> {
        if self.taken.records > 0 || !self.newest.complete || self.newest.number == 0 {
            self.add(true).await?;
        }
        Ok(Taken { runs: self.newest.number, ..self.taken })
    }
}

/// The hash of one record, if it is there.
pub(super) async fn hash_at(log: &dyn EventLog, wanted: Position) -> Result<Option<Hash>, BackupError> {
    let mut reader: Box<dyn LogReader> = log.with_bytes().read(vec![wanted]).await?;
    let after = [Position { offset: wanted.offset + 1, ..wanted }];
    loop {
        let fetched = reader.next(1, WAIT).await?;
        if let Some(first) = fetched.first() {
            let is_it = first.at() == wanted;
            return Ok(first.raw().filter(|_| is_it).map(kbnt_application::ports::RawRecord::hash));
        }
        if reader.has_reached(&after) {
            return Ok(None);
        }
    }
}
