//! The store answers what was written to it, or says that it is damaged.

mod damage;
mod postgres;
mod searches;
mod suite;

use std::num::NonZeroU32;
use std::sync::Arc;

use kbnt_application::event::Writer;
use kbnt_application::fence::TermFence;
use kbnt_application::history::{Batch, Progress, Reached, StoredOrder};
use kbnt_application::intact::TopicId;
use kbnt_application::ports::{HistoryError, HistoryStore, Mark};
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
    let mut fence = TermFence::default();
    fence.elected(at.partition, &Writer { term: 1, name: "w".to_owned() });
    let reached = Reached { next: revision + 1, last, note: fence.note(at.partition) };
    Progress {
        revision,
        as_of: Some(placed_at(0)),
        topics: [(Topic::OrderEvents, TopicId::from_bytes([7; 16]))].into(),
        partitions: [((Topic::InventoryEvents, 2), reached), ((Topic::OrderEvents, 0), Reached::default())]
            .into(),
    }
}

/// Where a store is, which can be opened again.
pub(super) trait Place {
    async fn make() -> Self;
    fn open(&self) -> Arc<dyn HistoryStore>;
}

/// A store in a file.
pub(super) struct Directory(tempfile::TempDir);

impl Place for Directory {
    async fn make() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> Arc<dyn HistoryStore> {
        Arc::new(SqliteHistory::new(self.0.path().to_owned()))
    }
}

/// Opens the store as a process does that applies the log.
pub(super) async fn open(store: &dyn HistoryStore) -> Progress {
    let progress = store.progress().await.unwrap();
    assert!(store.take_turn().await.unwrap());
    progress
}

/// Adds these orders, some in each batch.
pub(super) async fn fill(store: &dyn HistoryStore, orders: &[StoredOrder]) {
    let mut revision = open(store).await.revision;
    for orders in orders.chunks(40) {
        revision += 1;
        let batch = Batch { orders: orders.to_vec(), progress: progress(revision) };
        store.apply(batch).await.unwrap();
    }
}

/// A store with these orders.
pub(super) async fn store(place: &impl Place, orders: &[StoredOrder]) -> Arc<dyn HistoryStore> {
    let store = place.open();
    fill(store.as_ref(), orders).await;
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
