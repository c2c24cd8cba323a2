//! The history is a fold of the log, whatever batches its records come in, and pages neither skip nor repeat an order.

mod batches;
mod pages;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use kbnt_domain::event::Event;
use kbnt_domain::{EventId, OrderId};

use super::{Batch, Fold, Gathered, Progress, Search, StoredOrder};
use crate::event::{RecordedEvent, Writer, WriterElected};
use crate::machine::Delivered;
use crate::message::{Classification, Position, Topic, partition_of};
use crate::ports::Fetched;
use crate::projections::{Cursor, Page};
use crate::testkit::{at, record};

/// A store in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Store {
    pub(super) orders: HashMap<OrderId, StoredOrder>,
    pub(super) progress: Progress,
}

impl Store {
    fn stored(&self, orders: &[OrderId]) -> HashMap<OrderId, StoredOrder> {
        orders.iter().filter_map(|order| Some((*order, self.orders.get(order)?.clone()))).collect()
    }

    pub(super) fn apply(&mut self, batch: Batch) {
        assert_eq!(batch.progress.revision, self.progress.revision + 1);
        self.orders.extend(batch.orders.into_iter().map(|stored| (stored.order, stored)));
        self.progress = batch.progress;
    }

    /// Folds one batch into it.
    pub(super) fn fold(&mut self, fold: &Fold, records: &[Delivered]) -> Fold {
        let fetched: Vec<Fetched> = records.iter().cloned().map(Fetched::Record).collect();
        let stored = self.stored(&fold.orders(&fetched));
        let (batch, next) = fold.batch(&fetched, &[], stored);
        self.apply(batch);
        next
    }

    /// The page, as a store makes it.
    pub(super) fn search(&self, search: Search) -> Page {
        let listed: BTreeMap<Cursor, &StoredOrder> =
            self.orders.values().filter_map(|stored| Some((stored.cursor()?, stored))).collect();
        let after = search.after;
        let mut gathered = Gathered::new(search);
        for (cursor, stored) in listed.into_iter().rev() {
            if after.is_none_or(|after| cursor < after) && !gathered.offer(stored) {
                break;
            }
        }
        gathered.page()
    }
}

/// Writes records as the services do: of one order always to the same partition, those of the inventory as its elected writer.
#[derive(Default)]
pub(super) struct Log {
    pub(super) records: Vec<Delivered>,
    next: BTreeMap<(Topic, u32), u64>,
}

impl Log {
    /// A log in which this writer is elected.
    pub(super) fn of(term: u64) -> Self {
        let mut log = Self::default();
        log.elect(term);
        log
    }

    pub(super) fn writer(term: u64) -> Arc<Writer> {
        Arc::new(Writer { term, name: "w".into() })
    }

    pub(super) fn elect(&mut self, term: u64) {
        for partition in 0..3 {
            let writer = Self::writer(term);
            let event = WriterElected { writer: (*writer).clone() };
            self.put(0, partition, Some(writer), event.into());
        }
    }

    /// Writes a record of `term`.
    pub(super) fn write(&mut self, millis: i64, term: u64, event: Event) {
        let event = RecordedEvent::from(event);
        let topic = Classification::of(&event).topic();
        let key = crate::message::Subject::of(&event).key().unwrap_or_default();
        let writer = (topic == Topic::InventoryEvents).then(|| Self::writer(term));
        self.put(millis, partition_of(&key, 3), writer, event);
    }

    fn put(&mut self, millis: i64, partition: u32, writer: Option<Arc<Writer>>, event: RecordedEvent) {
        let topic = Classification::of(&event).topic();
        let next = self.next.entry((topic, partition)).or_default();
        let mut delivered = record(*next, at(millis), event);
        delivered.at = Position { topic, partition, offset: *next };
        *next += 1;
        let message = Arc::make_mut(&mut delivered.message);
        message.id = EventId::named(&delivered.at.to_string());
        message.writer = writer;
        self.records.push(delivered);
    }
}
