//! Orders and progress as bytes: rows in the postcard format, each followed by its CRC-32.

use std::num::NonZeroU32;
use std::str::FromStr;

use kbnt_application::history::{Progress, Reached, StoredOrder, event_code, event_kind};
use kbnt_application::intact::TopicId;
use kbnt_application::ports::{HistoryError, Mark};
use kbnt_application::projections::{OrderEntry, OrderEvent, Placed};
use kbnt_application::{Position, Topic};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{Currency, EventId, Money, OrderId, Reason, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Bytes of the checksum.
const SUM: usize = 4;

fn damaged(what: &str) -> HistoryError {
    HistoryError::Damaged(format!("{what} is not what was written"))
}

/// Its checksum is right, and still it is not understood.
fn foreign(what: &str) -> HistoryError {
    HistoryError::Foreign(format!("{what} was written by another version"))
}

/// The row with its checksum.
fn seal(row: &impl Serialize) -> Result<Vec<u8>, HistoryError> {
    let mut bytes = postcard::to_stdvec(row).map_err(|error| HistoryError::Unavailable(error.to_string()))?;
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    Ok(bytes)
}

/// The row without its checksum, if that is right.
pub(super) fn whole<'a>(bytes: &'a [u8], what: &str) -> Result<&'a [u8], HistoryError> {
    let (row, sum) = bytes.split_last_chunk::<SUM>().ok_or_else(|| damaged(what))?;
    if crc32fast::hash(row).to_le_bytes() == *sum { Ok(row) } else { Err(damaged(what)) }
}

/// The row, if its checksum is right.
fn open<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, HistoryError> {
    postcard::from_bytes(whole(bytes, what)?).map_err(|_| foreign(what))
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// The number of a status.
pub(super) const fn status_code(status: OrderStatus) -> u8 {
    match status {
        OrderStatus::Pending => 0,
        OrderStatus::Confirmed => 1,
        OrderStatus::Rejected => 2,
        OrderStatus::Cancelled => 3,
    }
}

fn status(code: u8) -> Option<OrderStatus> {
    OrderStatus::ALL.into_iter().find(|status| status_code(*status) == code)
}

/// A record of an order: kind, topic, partition, offset, timestamp, id, cause.
type EventRow<'a> = (u8, &'a str, u32, u64, i64, u32, u32);

/// An order.
#[derive(Serialize, Deserialize)]
struct OrderRow<'a> {
    id: [u8; 16],
    /// When it was placed, its basket's fingerprint, its user.
    #[serde(borrow)]
    placed: Option<(i64, [u8; 8], &'a str)>,
    status: u8,
    reason: Option<&'a str>,
    reservation: Option<[u8; 16]>,
    /// Minor units, currency, its decimal places.
    amount: Option<(i64, &'a str, u8)>,
    repeated: bool,
    events: Vec<EventRow<'a>>,
    products: Vec<&'a str>,
}

/// The order as bytes.
pub(super) fn order(stored: &StoredOrder) -> Result<Vec<u8>, HistoryError> {
    let StoredOrder { order, entry, products } = stored;
    let event = |event: &OrderEvent| {
        let cause = event.cause.map_or(0, NonZeroU32::get);
        // Only events about an order are in its entry, and each of them has a number.
        let kind = event_code(event.kind).unwrap_or_default();
        let at = event.timestamp.as_millis();
        (kind, event.topic.name(), event.partition, event.offset, at, event.id.get(), cause)
    };
    let placed = entry.placed.as_ref();
    seal(&OrderRow {
        id: *order.as_uuid().as_bytes(),
        placed: placed.map(|p| (p.at.as_millis(), p.fingerprint.to_le_bytes(), p.user.as_str())),
        status: status_code(entry.status),
        reason: entry.reason.map(Reason::code),
        reservation: entry.reservation.map(|id| *id.as_uuid().as_bytes()),
        amount: entry.amount.as_ref().map(Money::parts),
        repeated: entry.repeated,
        events: entry.events.iter().map(event).collect(),
        products: products.iter().map(kbnt_domain::ProductId::as_str).collect(),
    })
}

/// The order of these bytes; it must be the one that they are kept for.
pub(super) fn stored(id: OrderId, bytes: &[u8]) -> Result<StoredOrder, HistoryError> {
    let row: OrderRow<'_> = open(bytes, "an order")?;
    let stored = read(&row).ok_or_else(|| foreign("an order"))?;
    if stored.order == id { Ok(stored) } else { Err(damaged("the id of an order")) }
}

/// The order, if the columns that have an index say the same of it.
pub(super) fn listed(
    stored: StoredOrder,
    placed_at: Option<i64>,
    user: Option<&str>,
    status: u8,
) -> Result<StoredOrder, HistoryError> {
    let placed = stored.entry.placed.as_ref();
    let agrees = status == status_code(stored.entry.status)
        && placed.map(|placed| placed.at.as_millis()) == placed_at
        && placed.map(|placed| placed.user.as_str()) == user;
    if agrees { Ok(stored) } else { Err(damaged("an index")) }
}

fn read(row: &OrderRow<'_>) -> Option<StoredOrder> {
    let event = |&(kind, topic, partition, offset, at, id, cause): &EventRow<'_>| {
        Some(OrderEvent {
            kind: event_kind(kind)?,
            topic: Topic::from_name(topic)?,
            partition,
            offset,
            timestamp: Timestamp::from_millis(at),
            id: NonZeroU32::new(id)?,
            cause: NonZeroU32::new(cause),
        })
    };
    let placed = match row.placed {
        None => None,
        Some((at, fingerprint, user)) => Some(Placed {
            at: Timestamp::from_millis(at),
            fingerprint: u64::from_le_bytes(fingerprint),
            user: parse(user)?,
        }),
    };
    let amount = match row.amount {
        None => None,
        Some((minor, code, decimals)) => {
            let currency = Currency::recorded(code, decimals.into()).ok()?;
            Some(Money::from_minor(minor, currency).ok()?)
        }
    };
    let reason = match row.reason {
        None => None,
        Some(code) => Some(parse(code)?),
    };
    let entry = OrderEntry {
        placed,
        status: status(row.status)?,
        reason,
        reservation: row.reservation.map(|id| ReservationId::from_uuid(Uuid::from_bytes(id))),
        amount,
        repeated: row.repeated,
        events: row.events.iter().map(event).collect::<Option<_>>()?,
    };
    let products = row.products.iter().map(|product| parse(product)).collect::<Option<_>>()?;
    Some(StoredOrder { order: OrderId::from_uuid(Uuid::from_bytes(row.id)), entry, products })
}

/// How far a partition is applied: topic, partition, next offset, the last record's offset and id, the fence's note.
type ReachedRow<'a> = (&'a str, u32, u64, Option<(u64, [u8; 16])>, &'a str);

/// How far the log is applied.
#[derive(Serialize, Deserialize)]
struct ProgressRow<'a> {
    revision: u64,
    as_of: Option<i64>,
    #[serde(borrow)]
    topics: Vec<(&'a str, [u8; 16])>,
    #[serde(borrow)]
    partitions: Vec<ReachedRow<'a>>,
}

/// The progress as bytes.
pub(super) fn progress(progress: &Progress) -> Result<Vec<u8>, HistoryError> {
    let topic = |(topic, id): (&Topic, &TopicId)| (topic.name(), *id.as_bytes());
    let mut partitions = Vec::with_capacity(progress.partitions.len());
    for ((topic, partition), Reached { next, last, note }) in &progress.partitions {
        let last = last.as_ref().map(|mark| (mark.at.offset, *mark.id.as_uuid().as_bytes()));
        partitions.push((topic.name(), *partition, *next, last, note.as_str()));
    }
    seal(&ProgressRow {
        revision: progress.revision,
        as_of: progress.as_of.map(Timestamp::as_millis),
        topics: progress.topics.iter().map(topic).collect(),
        partitions,
    })
}

/// The progress of these bytes.
pub(super) fn stored_progress(bytes: &[u8]) -> Result<Progress, HistoryError> {
    let row: ProgressRow<'_> = open(bytes, "the progress")?;
    read_progress(&row).ok_or_else(|| foreign("the progress"))
}

/// The progress of a store that counts so many batches.
pub(super) fn progress_at(revision: i64, bytes: &[u8]) -> Result<Progress, HistoryError> {
    if revision == 0 {
        return Ok(Progress::default());
    }
    let progress = stored_progress(bytes)?;
    if progress.revision == revision.cast_unsigned() {
        Ok(progress)
    } else {
        Err(damaged("the number of batches"))
    }
}

/// So many orders are listed.
pub(super) fn count(orders: i64) -> Result<u64, HistoryError> {
    u64::try_from(orders).map_err(|_| damaged("the number of orders"))
}

fn read_progress(row: &ProgressRow<'_>) -> Option<Progress> {
    let topic = |(name, id): &(&str, [u8; 16])| Some((Topic::from_name(name)?, TopicId::from_bytes(*id)));
    let reached = |&(name, partition, next, last, note): &ReachedRow<'_>| {
        let topic = Topic::from_name(name)?;
        let last = last.map(|(offset, id)| Mark {
            at: Position { topic, partition, offset },
            id: EventId::from_uuid(Uuid::from_bytes(id)),
        });
        Some(((topic, partition), Reached { next, last, note: note.to_owned() }))
    };
    Some(Progress {
        revision: row.revision,
        as_of: row.as_of.map(Timestamp::from_millis),
        topics: row.topics.iter().map(topic).collect::<Option<_>>()?,
        partitions: row.partitions.iter().map(reached).collect::<Option<_>>()?,
    })
}
