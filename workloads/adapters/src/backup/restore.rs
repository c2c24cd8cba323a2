//! Checks a backup, and brings it back into an empty log under the same offsets.

use async_trait::async_trait;
use kbnt_application::ports::{EventLog, LogError, RawRecord};
use kbnt_application::{Position, Topic};
use kbnt_domain::audit::{Hash, sha256};
use kbnt_wire::raw::{RawAppend, RawLog};

use super::run::{Run, Segment};
use super::take::hash_at;
use super::{BackupError, ByPartition, MARK, at, segment};
use crate::objects::Place;

/// Records that are written at once.
const BATCH: usize = 1_000;

/// Deletes the first records of a partition, where a log can do that.
#[async_trait]
pub trait Deletes: Send + Sync {
    /// Deletes all records before `first`.
    async fn delete_before(&self, first: Position) -> Result<(), LogError>;
}

/// A log that takes events and bytes.
pub trait Log: EventLog + RawLog {}

impl<T: EventLog + RawLog + ?Sized> Log for T {}

/// What a backup has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Complete runs, and the ones before them.
    pub runs: u64,
    /// When the last of them was taken.
    pub taken: String,
    /// Records that are restored.
    pub records: u64,
    /// Records that are not, as those after them had expired before they were copied.
    pub passed_over: u64,
    /// Where each partition begins, where that is not offset 0.
    pub begins: Vec<Position>,
    /// Where each partition ends.
    pub ends: Vec<Position>,
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Records that were written.
    pub written: u64,
    /// Records that an interrupted restore had written before.
    pub there_before: u64,
}

/// What is known of a partition of a backup.
#[derive(Clone, Copy, Debug, Default)]
struct Partition {
    /// The first offset of those that follow each other without a gap to the end.
    first: u64,
    end: u64,
    records: u64,
}

/// Reads all of a backup that can be restored, and compares it with its hashes.
///
/// # Errors
/// There is no complete run; an object is missing or is not what was written; records of an event store are missing.
pub async fn check(place: &Place) -> Result<Checked, BackupError> {
    let runs = last_complete(place).await?;
    match place.is_marked(&MARK).await {
        // Nobody has taken one there.
        Err(error) if error.is_missing() && runs.is_none() => {}
        marked => marked?,
    }
    let runs = runs.ok_or_else(|| BackupError::Nothing(place.name().to_owned()))?;
    let mut partitions: ByPartition<Partition> =
        Topic::event_partitions().map(|place| (place, Partition::default())).collect();
    let mut checked = Checked { runs, ..Checked::default() };
    // All runs before any object: each vouches for the names of those of the run before.
    let mut before: Option<Hash> = None;
    for number in 1..=runs {
        before = Some(place.run_after(number, before).await?.1);
    }
    let mut all = 0;
    for number in 1..=runs {
        let (run, _) = place.run(number).await?;
        checked.taken.clone_from(&run.taken);
        for segment in &run.segments {
            let (of, records) = read(place, segment).await?;
            let found = partitions.entry(of).or_default();
            for (offset, _) in records {
                all += 1;
                if offset != found.end {
                    if of.0.is_event_store() {
                        return Err(BackupError::Cut { first: at(of, offset), wanted: found.end });
                    }
                    *found = Partition { first: offset, end: offset, records: 0 };
                }
                found.end = offset + 1;
                found.records += 1;
            }
        }
    }
    checked.records = partitions.values().map(|found| found.records).sum();
    checked.passed_over = all - checked.records;
    checked.begins = partitions
        .iter()
        .filter(|(_, found)| found.first > 0)
        .map(|(of, found)| at(*of, found.first))
        .collect();
    checked.ends = partitions.iter().map(|(of, found)| at(*of, found.end)).collect();
    Ok(checked)
}

/// Brings a backup back into `log`, whose topics are empty, or hold what a restore that was interrupted has written. Nobody else may
/// write to it meanwhile. A partition whose first records had expired begins where it did, if the log `deletes` records.
///
/// # Errors
/// The log has other records; a record does not get its offset; the log does not answer; or as [`check`], which `checked` came from.
pub async fn restore(
    place: &Place,
    checked: &Checked,
    log: &dyn Log,
    deletes: Option<&dyn Deletes>,
) -> Result<Restored, BackupError> {
    let mut there: ByPartition<u64> = ByPartition::new();
    for end in &checked.ends {
        let first =
            checked.begins.iter().find(|first| (first.topic, first.partition) == (end.topic, end.partition));
        there.insert((end.topic, end.partition), prepare(log, deletes, first.copied(), *end).await?);
    }
    let mut restored = Restored::default();
    for number in 1..=checked.runs {
        let Run { segments, .. } = place.run(number).await?.0;
        for segment in &segments {
            let (of, records) = read(place, segment).await?;
            let from = there.get(&of).copied().unwrap_or_default();
            let first = checked.begins.iter().find(|first| (first.topic, first.partition) == of);
            let first = first.map_or(0, |first| first.offset);
            let records = records.into_iter().filter(|(offset, _)| *offset >= first);
            let (before, after): (Vec<_>, Vec<_>) = records.partition(|(offset, _)| *offset < from);
            restored.there_before += before.len() as u64;
            if let Some((offset, record)) = before.last().filter(|(offset, _)| offset + 1 == from)
                && hash_at(log, at(of, *offset)).await? != Some(record.hash())
            {
                return Err(BackupError::Differs(at(of, *offset)));
            }
            restored.written += write(log, of, after).await?;
        }
    }
    Ok(restored)
}

/// The number of the last run that is complete.
async fn last_complete(place: &Place) -> Result<Option<u64>, BackupError> {
    let mut number = place.newest_number().await?;
    while number > 0 {
        if place.run(number).await?.0.complete {
            return Ok(Some(number));
        }
        number -= 1;
    }
    Ok(None)
}

/// The records of a segment, which are what was written.
async fn read(
    place: &Place,
    segment: &Segment,
) -> Result<((Topic, u32), Vec<(u64, RawRecord)>), BackupError> {
    let (of, object, hash) = segment
        .object()
        .ok_or_else(|| place.damaged("runs", "a run names an object that there cannot be"))?;
    let bytes = place.get(&object).await?;
    if sha256(&bytes) != hash {
        return Err(place.damaged(&object, "it is not what was written").into());
    }
    let records = segment::read(&bytes).map_err(|error| place.damaged(&object, error))?;
    let is_whole = records.first().is_none_or(|(first, _)| *first == segment.first)
        && records.last().is_none_or(|(last, _)| *last < segment.end)
        && records.len() as u64 == segment.records;
    if is_whole {
        Ok((of, records))
    } else {
        Err(place.damaged(&object, "it has other records than its run says").into())
    }
}

/// Makes a partition ready; from which offset on records are to be written.
async fn prepare(
    log: &dyn Log,
    deletes: Option<&dyn Deletes>,
    first: Option<Position>,
    end: Position,
) -> Result<u64, BackupError> {
    let found = log.bounds(end.topic, end.partition).await?;
    if found.end > end.offset {
        return Err(BackupError::NotEmpty { end: Position { offset: found.end, ..end } });
    }
    match first {
        // Also where that was interrupted.
        Some(first) if found.end <= first.offset => {
            let deletes = deletes.ok_or(BackupError::Expired(first))?;
            fill(log, first).await?;
            deletes.delete_before(first).await?;
            Ok(first.offset)
        }
        _ => Ok(found.end),
    }
}

/// Writes records, each of which must get its offset; how many.
async fn write(
    log: &dyn Log,
    (topic, partition): (Topic, u32),
    records: Vec<(u64, RawRecord)>,
) -> Result<u64, BackupError> {
    let count = records.len() as u64;
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let (offsets, batch): (Vec<u64>, Vec<RawAppend>) = records
            .by_ref()
            .take(BATCH)
            .map(|(offset, record)| (offset, RawAppend { topic, to: Some(partition), record }))
            .unzip();
        let written = log.append_raw(batch).await?;
        for (wanted, found) in offsets.into_iter().zip(written) {
            if found.offset != wanted {
                return Err(BackupError::Shifted {
                    wanted: at((topic, partition), wanted),
                    found: found.offset,
                });
            }
        }
    }
    Ok(count)
}

/// Writes records without content up to `first`, which are deleted then.
async fn fill(log: &dyn Log, first: Position) -> Result<(), LogError> {
    let Position { topic, partition, offset } = first;
    let mut end = log.bounds(topic, partition).await?.end;
    while end < offset {
        let count = (offset - end).min(10_000);
        let nothing = RawAppend { topic, to: Some(partition), record: RawRecord::default() };
        let batch = (0..count).map(|_| nothing.clone()).collect();
        let written = log.append_raw(batch).await?;
        end = written.last().map_or(end, |last| last.offset + 1);
    }
    Ok(())
}
