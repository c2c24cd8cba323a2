//! The store answers what was written to it, or says that it is damaged.

mod damage;
mod searches;

use std::num::NonZeroU32;
use std::path::Path;

use kbnt_application::history::{Batch, Progress, Reached, StoredOrder};
use kbnt_application::intact::TopicId;
use kbnt_application::ports::{HistoryError, HistoryStore as _, Mark};
use kbnt_application::projections::{OrderEntry, OrderEvent, Placed};
use kbnt_application::{Position, Topic};
use kbnt_domain::event::EventKind;
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{Currency, EventId, Money, OrderId, Reason, ReservationId, Timestamp};

use super::{SqliteHistory, rows};

/// The time of order `n`.
pub(crate) fn placed_at(n: u32) -> Timestamp {
    // Some at the same time.
    Timestamp::from_millis(1_767_225_600_000 + i64::from(n / 3) * 1_000)
}

pub(crate) fn id(n: u32) -> OrderId {
    OrderId::derive(&"USER-1".parse().unwrap(), &n.to_string())
}

/// An order of any kind.
pub(crate) fn order(n: u32) -> StoredOrder {
    let status = OrderStatus::ALL[n as usize % 4];
    let ended = status != OrderStatus::Pending;
    let event = |kind, offset: u64| OrderEvent {
        kind,
        topic: Topic::OrderEvents,
        partition: n % 3,
        offset,
        timestamp: placed_at(n),
        id: NonZeroU32::new(n + 1).unwrap(),
        cause: (offset % 2 == 1).then_some(NonZeroU32::MAX),
    };
    let mut events = vec![event(EventKind::PlaceOrder, 2 * u64::from(n))];
    events.extend(ended.then(|| event(EventKind::OrderCreated, 2 * u64::from(n) + 1)));
    let user = format!("USER-{}", n % 5).parse().unwrap();
    let entry = OrderEntry {
        placed: Some(Placed { at: placed_at(n), fingerprint: u64::MAX - u64::from(n), user }),
        status,
        reason: (status == OrderStatus::Cancelled).then_some(Reason::PaymentDeclined),
        reservation: ended.then(|| ReservationId::derive(&id(n), n)),
        amount: ended.then(|| Money::from_minor(i64::from(n) * 100, Currency::BRL).unwrap()),
        repeated: n.is_multiple_of(7),
        events,
    };
    let products = (0..=n % 3).map(|k| format!("PROD-00{k}").parse().unwrap()).collect();
    StoredOrder { order: id(n), entry, products }
}

/// An order of which something was heard, and that was not placed.
pub(crate) fn unplaced(n: u32) -> StoredOrder {
    let mut stored = order(n);
    stored.entry.placed = None;
    stored.entry.status = OrderStatus::Pending;
    stored.products.clear();
    stored
}

/// The progress after so many batches.
pub(crate) fn progress(revision: u64) -> Progress {
    let at = Position { topic: Topic::InventoryEvents, partition: 2, offset: revision };
    let last = Some(Mark { at, id: EventId::named("last") });
    let reached = Reached { next: revision + 1, last, note: "1 w 0123456789ab".into() };
    Progress {
        revision,
        as_of: Some(placed_at(0)),
        topics: [(Topic::OrderEvents, TopicId::from_bytes([7; 16]))].into(),
        partitions: [((Topic::InventoryEvents, 2), reached), ((Topic::OrderEvents, 0), Reached::default())]
            .into(),
    }
}

/// A store with these orders, some in each batch.
pub(crate) async fn store(directory: &Path, orders: &[StoredOrder]) -> SqliteHistory {
    let store = SqliteHistory::new(directory.to_owned());
    let mut revision = store.progress().await.unwrap().revision;
    for orders in orders.chunks(40) {
        revision += 1;
        let batch = Batch { orders: orders.to_vec(), progress: progress(revision) };
        store.apply(batch).await.unwrap();
    }
    store
}

#[test]
fn an_order_and_the_progress_are_read_as_they_were_written() {
    for stored in (0..100).map(order).chain([unplaced(1), unplaced(2)]) {
        let bytes = rows::order(&stored).unwrap();
        assert_eq!(rows::stored(stored.order, &bytes), Ok(stored.clone()));
        assert!(rows::stored(id(1_000), &bytes).is_err(), "it is another order's");
    }
    for revision in [0, 1, u64::MAX >> 1] {
        let bytes = rows::progress(&progress(revision)).unwrap();
        assert_eq!(rows::stored_progress(&bytes), Ok(progress(revision)));
    }
}

#[test]
fn every_flipped_bit_of_a_row_is_seen() {
    let stored = order(3);
    let bytes = rows::order(&stored).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(rows::stored(stored.order, &flipped), Err(HistoryError::Damaged(_))), "{bit}");
    }
    for length in 0..bytes.len() {
        assert!(rows::stored(stored.order, &bytes[..length]).is_err(), "{length}");
    }
}

#[tokio::test]
async fn what_is_applied_is_there_after_a_restart_with_its_progress() {
    let directory = tempfile::tempdir().unwrap();
    let orders: Vec<StoredOrder> = (0..100).map(order).collect();
    drop(store(directory.path(), &orders).await);
    let store = store(directory.path(), &[unplaced(200)]).await;
    assert_eq!(store.progress().await, Ok(progress(4)));
    for stored in &orders {
        assert_eq!(store.get(stored.order).await, Ok(Some(stored.entry.clone())));
    }
    assert_eq!(store.get(id(200)).await, Ok(Some(unplaced(200).entry)));
    assert_eq!(store.get(id(201)).await, Ok(None));
    let known = store.stored(vec![id(5), id(200), id(201)]).await.unwrap();
    assert_eq!((known.len(), &known[&id(200)]), (2, &unplaced(200)));
    let size = store.size().await.unwrap();
    assert_eq!(size.orders, 100);
    assert!(size.bytes > 10_000);
}

#[tokio::test]
async fn a_batch_that_does_not_follow_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(directory.path(), &[order(1)]).await;
    for revision in [0, 1, 3] {
        let batch = Batch { orders: vec![order(2)], progress: progress(revision) };
        assert_eq!(store.apply(batch).await, Err(HistoryError::Conflict));
    }
    assert_eq!((store.get(id(2)).await, store.progress().await), (Ok(None), Ok(progress(1))));
}

#[tokio::test]
async fn orders_that_are_old_and_have_ended_are_dropped_some_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut orders: Vec<StoredOrder> = (0..30).map(order).collect();
    orders.push(unplaced(40));
    let store = store(directory.path(), &orders).await;
    let mut dropped = 0;
    loop {
        let some = store.expire(placed_at(15), 4).await.unwrap();
        dropped += some;
        if some < 4 {
            break;
        }
    }
    let kept = |n: u32| n >= 15 || n.is_multiple_of(4);
    assert_eq!(dropped, (0..30).filter(|n| !kept(*n)).count(), "pending orders stay");
    for n in 0..30 {
        assert_eq!(store.get(id(n)).await.unwrap().is_some(), kept(n), "{n}");
    }
    assert_eq!(store.size().await.unwrap().orders, (0..30).filter(|n| kept(*n)).count() as u64);
    assert_eq!(store.expire(placed_at(3_000), 100).await, Ok(12), "with the one that was never placed");
    drop(store);
    let store = SqliteHistory::new(directory.path().to_owned());
    assert!(store.progress().await.is_ok(), "products went with their orders");
}

#[tokio::test]
async fn nothing_is_read_before_it_is_opened_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    drop(store(directory.path(), &[order(1)]).await);
    let store = SqliteHistory::new(directory.path().to_owned());
    assert!(matches!(store.get(id(1)).await, Err(HistoryError::Unavailable(_))));
    store.progress().await.unwrap();
    assert!(store.get(id(1)).await.unwrap().is_some());
}
