//! `kbnt dlq replay` and `kbnt dlq discard`.

use std::time::Duration;

use kbnt_adapters::clock::SystemClock;
use kbnt_application::event::{DeadLetterResolved, DeadLetterStored, Resolution};
use kbnt_application::message::{Subject, home_of, partition_of};
use kbnt_application::ports::{Clock as _, LogError, RawRecord};
use kbnt_application::{Outbox, Position, Service, Topic};
use kbnt_domain::Timestamp;
use kbnt_wire::raw::RawAppend;
use kbnt_wire::{self as wire, RecordView};

use super::REPLAY_OF;
use super::dead_letters::DeadLetter;
use crate::cli::{DeadLetterOptions, DiscardOptions, ReplayOptions};
use crate::failure::Failure;
use crate::origin::{self, Access, From, Log, Origin};
use crate::output;

/// How long the log may take to acknowledge a record.
const PATIENCE: Duration = Duration::from_secs(30);

/// The header in which a service names the record that it answers.
const SOURCE: &str = "kbnt_source";

pub(super) async fn replay(options: &ReplayOptions) -> Result<(), Failure> {
    let (log, dead_letter) = find(&options.dead_letter).await?;
    refuse(!dead_letter.is_open() && !options.force, || {
        format!("{} is {} already; --force does it again", dead_letter.at, dead_letter.state())
    })?;
    let value = options.value.as_deref().map(std::fs::read).transpose();
    let value = value.map_err(|error| {
        let path = options.value.clone().unwrap_or_default();
        Failure::File { path, error }
    })?;
    refuse(value.is_none() && !dead_letter.stored.whole, || {
        format!(
            "only the beginning of {} is kept, as it is too large: give the value with --value FILE",
            dead_letter.at
        )
    })?;
    let mut record = record(&dead_letter.stored, value, options.key.as_deref(), SystemClock.now());
    let (partition, objection) = target(dead_letter.at, &mut record, options.key.as_deref());
    if let Some(objection) = objection {
        refuse(!options.force, || format!("{objection}; --force writes it all the same"))?;
        output::print_error(&objection);
    }
    let log = to_write(&options.dead_letter, log, &dead_letter).await?;
    let append = RawAppend { topic: dead_letter.at.topic, to: Some(partition), record };
    let written = with_timeout(log.append_raw(vec![append])).await?;
    let written = written.first().copied();
    resolve(&*log, &dead_letter, Resolution::Replayed, written, options.who.name(), &options.reason).await?;
    let written = written.map(|at| at.to_string()).unwrap_or_default();
    output::line(&format!("{} is written again, as {written}", dead_letter.at))
}

pub(super) async fn discard(options: &DiscardOptions) -> Result<(), Failure> {
    let (log, dead_letter) = find(&options.dead_letter).await?;
    refuse(!dead_letter.is_open(), || format!("{} is {} already", dead_letter.at, dead_letter.state()))?;
    refuse(options.reason.trim().is_empty(), || "say why, with --reason TEXT".to_owned())?;
    let log = to_write(&options.dead_letter, log, &dead_letter).await?;
    resolve(&*log, &dead_letter, Resolution::Discarded, None, options.who.name(), &options.reason).await?;
    output::line(&format!("{} is discarded; the record itself lies where it was", dead_letter.at))
}

fn refuse(refused: bool, why: impl FnOnce() -> String) -> Result<(), Failure> {
    if refused { Err(Failure::Refused(why())) } else { Ok(()) }
}

/// The log, and the dead letter in it. Changes nothing yet.
async fn find(
    DeadLetterOptions { id, trail }: &DeadLetterOptions,
) -> Result<(Box<dyn Log>, DeadLetter), Failure> {
    let log = origin::open_log(&trail.origin, trail.data_dir.as_ref(), Access::Read)?.ok_or_else(|| {
        Failure::Refused(
            "a running kbnt serve takes no records from outside: stop it and name its --data-dir, or name Kafka with \
             --bootstrap-servers"
                .to_owned(),
        )
    })?;
    let reading = Origin::of_log(&*log, &[Topic::AuditLogs], From::Start).await?;
    let dead_letter = super::one(reading, *id).await?;
    Ok((log, dead_letter))
}

/// The log in which this dead letter was found, opened for writing. Opening a directory may change it, so it
/// comes after all objections.
async fn to_write(
    options: &DeadLetterOptions,
    found: Box<dyn Log>,
    dead_letter: &DeadLetter,
) -> Result<Box<dyn Log>, Failure> {
    let Some(directory) = &options.trail.data_dir else { return Ok(found) };
    let log = origin::open_directory(directory, Access::Write)?;
    let reading = Origin::of_log(&log, &[Topic::AuditLogs], From::Start).await?;
    let now = super::one(reading, dead_letter.at).await?;
    refuse(now.resolved.len() != dead_letter.resolved.len(), || {
        format!("{} is {} by somebody else just now", dead_letter.at, now.state())
    })?;
    Ok(Box::new(log))
}

/// The record that replaces the unreadable one.
fn record(
    dead_letter: &DeadLetterStored,
    value: Option<Vec<u8>>,
    key: Option<&str>,
    now: Timestamp,
) -> RawRecord {
    let (topic, partition, offset) = &dead_letter.location;
    // Only the service that answers may name what it answers.
    let kept = dead_letter.headers.iter().filter(|(name, _)| name != REPLAY_OF && name != SOURCE);
    let kept = kept.map(|(name, value)| (name.clone(), value.as_deref().map(<[u8]>::to_vec)));
    let place = format!("{topic}/{partition}/{offset}").into_bytes();
    RawRecord {
        key: key
            .map(|key| key.as_bytes().to_vec())
            .or_else(|| dead_letter.key.as_deref().map(<[u8]>::to_vec)),
        value: value.or_else(|| dead_letter.value.as_deref().map(<[u8]>::to_vec)),
        headers: kept.chain([(REPLAY_OF.to_owned(), Some(place))]).collect(),
        at: now,
    }
}

/// The partition in which `record` replaces the one at `at`, and why that would do no good there. The subject
/// of the record decides: a record from another partition gets the right one, and the key that belongs there
/// unless `key` was given.
fn target(at: Position, record: &mut RawRecord, key: Option<&str>) -> (u32, Option<String>) {
    let event = match wire::decode(at, &RecordView::of(record)) {
        Ok(delivered) => delivered.message.event.clone(),
        Err(error) => return (at.partition, Some(format!("nobody would understand it: {error}"))),
    };
    let partition = home_of(&event).unwrap_or(at.partition);
    if at.topic == Topic::InventoryEvents {
        let objection = "in inventory-events only what the elected writer writes counts".to_owned();
        return (partition, Some(objection));
    }
    let of_key = |key: &[u8]| partition_of(key, at.topic.partitions());
    if let Some(of_key) = key.map(|key| of_key(key.as_bytes())).filter(|of_key| *of_key != partition) {
        return (partition, Some(format!("its key belongs to partition {of_key}, not to {partition}")));
    }
    if record.key.as_deref().map(of_key) != Some(partition) {
        record.key = Subject::of(&event).key().map(String::into_bytes);
    }
    (partition, None)
}

/// Records the resolution in the trail.
async fn resolve(
    log: &dyn Log,
    dead_letter: &DeadLetter,
    how: Resolution,
    written: Option<Position>,
    by: String,
    reason: &str,
) -> Result<(), Failure> {
    let mut outbox = Outbox::new(Service::Audit, SystemClock.now());
    let event = DeadLetterResolved {
        location: dead_letter.at.location(),
        how,
        replayed_to: written.map(Position::location),
        by,
        reason: reason.to_owned(),
    };
    // If two people do the same at once, it counts once.
    outbox.emit_named(
        &format!("dead-letter-resolved/{}/{}", dead_letter.at, dead_letter.resolved.len()),
        event,
    );
    with_timeout(log.append(outbox.take().0)).await.map(drop)
}

/// Limits the wait for a log that is away, and may answer later or never.
async fn with_timeout<T>(work: impl Future<Output = Result<T, LogError>>) -> Result<T, Failure> {
    let waited = tokio::time::timeout(PATIENCE, work).await;
    let silent = |_| {
        Failure::Refused(format!("nothing acknowledged for {PATIENCE:?}; kbnt dlq show tells how it ended"))
    };
    waited.map_err(silent)?.map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_application::event::Bytes;

    fn at(topic: Topic) -> Position {
        Position { topic, partition: 0, offset: 17 }
    }

    fn dead_letter() -> DeadLetterStored {
        let headers = [
            ("kbnt_source", Some(b"order-events/0/3".as_slice())),
            ("x", None),
            ("kbnt_replay_of", Some(b"order-events/0/1".as_slice())),
        ];
        let location = at(Topic::OrderEvents).location();
        DeadLetterStored::new(location, "r".into(), Timestamp::default(), Some(b"k"), Some(b"[1"), headers)
    }

    #[test]
    fn a_record_is_replayed_as_it_was_or_corrected() {
        let now = Timestamp::from_millis(9);
        let same = record(&dead_letter(), None, None, now);
        let place = Some(b"order-events/0/17".to_vec());
        assert_eq!((same.key, same.value, same.at), (Some(b"k".to_vec()), Some(b"[1".to_vec()), now));
        assert_eq!(same.headers, [("x".to_owned(), None), ("kbnt_replay_of".to_owned(), place)]);
        let other = record(&dead_letter(), Some(b"{}".to_vec()), Some("K"), now);
        assert_eq!((other.key, other.value), (Some(b"K".to_vec()), Some(b"{}".to_vec())));
        let mut tombstone = dead_letter();
        tombstone.value = None::<Bytes>;
        assert_eq!(record(&tombstone, None, None, now).value, None);
    }

    #[test]
    fn a_record_of_another_partition_is_replayed_where_it_belongs() {
        let order = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        let value =
            format!(r#"{{"eventName":"OrderCancelRequestedCommand","payload":{{"orderId":"{order}"}}}}"#);
        // "21" and no key belong to partition 0, and "k" to 2, like the order: "k" is as good as any key
        // there.
        for (kept, replayed) in [
            (None, order),
            (Some(b"21".as_slice()), order),
            (Some(b"".as_slice()), order),
            (Some(order.as_bytes()), order),
            (Some(b"k".as_slice()), "k"),
        ] {
            let location = at(Topic::OrderEvents).location();
            let (reason, value) = ("r".to_owned(), Some(value.as_bytes()));
            let dead_letter = DeadLetterStored::new(location, reason, Timestamp::default(), kept, value, []);
            let mut record = record(&dead_letter, None, None, Timestamp::default());
            assert_eq!(target(at(Topic::OrderEvents), &mut record, None), (2, None));
            assert_eq!(record.key.as_deref(), Some(replayed.as_bytes()), "its key was {kept:?}");
        }
    }

    #[test]
    fn what_would_do_no_good_is_said_before() {
        let good = br#"{"eventName":"OrderCancelRequestedCommand","payload":{"orderId":"67e55044-10b1-426f-9247-bb680e5fe0c8"}}"#;
        let said = |topic: Topic, value: &[u8], key: Option<&str>| {
            let mut record = record(&dead_letter(), Some(value.to_vec()), key, Timestamp::default());
            target(at(topic), &mut record, key).1.unwrap_or_default()
        };
        assert_eq!(said(Topic::OrderEvents, good, None), "");
        assert!(
            said(Topic::OrderEvents, b"[1", None).starts_with("nobody would understand it: not an event")
        );
        assert!(said(Topic::UserEvents, good, None).contains("is no event of user-events"));
        // The murmur2 of "21" maps to partition 0 of 3, as in Java clients; the order's id to partition 2.
        assert_eq!(said(Topic::OrderEvents, good, Some("21")), "its key belongs to partition 0, not to 2");
        assert_eq!(said(Topic::OrderEvents, good, Some("67e55044-10b1-426f-9247-bb680e5fe0c8")), "");
        let elected = br#"{"eventName":"WriterElected","payload":{"writer":{"term":1,"name":"w"}}}"#;
        let objection = said(Topic::InventoryEvents, elected, None);
        assert!(objection.contains("only what the elected writer writes counts"), "{objection}");
    }
}
