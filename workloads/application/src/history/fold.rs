//! Folds records into the orders of a store.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kbnt_domain::event::Event;
use kbnt_domain::{OrderId, Timestamp};
use thiserror::Error;

use super::progress::Progress;
use super::{Batch, StoredOrder};
use crate::fence::TermFence;
use crate::intact::TopicId;
use crate::machine::Delivered;
use crate::message::{Position, Topic};
use crate::ports::{Fetched, Mark};
use crate::projections::{OrderBook, OrderEntry};

/// Folds records as the read model in memory does, except that what it knows of an order comes from the store.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    progress: Progress,
    fence: TermFence,
}

/// The store's progress does not say from where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what is stored does not say whose records of inventory-events count")]
pub struct UnknownProgress;

impl Fold {
    /// Goes on from where the store stands.
    pub fn resume(progress: Progress) -> Result<Self, UnknownProgress> {
        let mut fence = TermFence::default();
        for ((topic, partition), reached) in &progress.partitions {
            // Before the first election no record counts, and there is nothing to note.
            if *topic == Topic::InventoryEvents && !reached.note.is_empty() {
                fence.restore(*partition, &reached.note).map_err(|_| UnknownProgress)?;
            }
        }
        Ok(Self { progress, fence })
    }

    /// How far the log is applied.
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Where each partition is to be read from.
    pub fn positions(&self) -> Vec<Position> {
        let mut positions = Vec::new();
        for topic in OrderBook::TOPICS.iter().copied() {
            for partition in 0..topic.partitions() {
                positions.push(Position { topic, partition, offset: self.progress.next(topic, partition) });
            }
        }
        positions
    }

    /// Partitions of inventory-events of which records may be missing before the first of `records`: a log may have been cut meanwhile.
    pub fn jumps(&self, records: &[Fetched]) -> Vec<Position> {
        let mut next: BTreeMap<u32, u64> = BTreeMap::new();
        let mut jumps = Vec::new();
        for at in records.iter().map(Fetched::at).filter(|at| at.topic == Topic::InventoryEvents) {
            let next = next.entry(at.partition).or_insert_with(|| self.progress.next(at.topic, at.partition));
            if at.offset > *next {
                jumps.push(Position { offset: *next, ..at });
            }
            *next = at.offset.saturating_add(1).max(*next);
        }
        jumps
    }

    /// What is read next of a partition of inventory-events is the first record that a cut has left.
    pub fn begin_at_cut(&mut self, partition: u32) {
        self.fence.begin_at_cut(partition);
    }

    /// The orders that these records are about: what the store has of them is needed to fold the records.
    pub fn orders(&self, records: &[Fetched]) -> Vec<OrderId> {
        let orders: BTreeSet<OrderId> =
            records.iter().filter_map(|record| self.unapplied(record)?.message.order()).collect();
        orders.into_iter().collect()
    }

    /// The record, if it was understood and is not applied yet.
    fn unapplied<'a>(&self, fetched: &'a Fetched) -> Option<&'a Delivered> {
        let Fetched::Record(record) = fetched else { return None };
        let Position { topic, partition, offset } = record.at;
        (offset >= self.progress.next(topic, partition)).then_some(record)
    }

    /// What `records` make of the orders that are `stored`: the batch, and the fold as it goes on once the store has applied that.
    /// `positions` are where their reader stands now.
    pub fn batch(
        &self,
        records: &[Fetched],
        positions: &[Position],
        stored: HashMap<OrderId, StoredOrder>,
    ) -> (Batch, Self) {
        let mut next = self.clone();
        let mut orders: BTreeMap<OrderId, StoredOrder> = stored.into_iter().collect();
        let mut changed = BTreeSet::new();
        for fetched in records {
            if let Some(record) = next.unapplied(fetched)
                && next.admits(record)
                && let Some(order) = record.message.order()
            {
                let stored = orders.entry(order).or_insert_with(|| StoredOrder::new(order));
                stored.apply(record);
                changed.insert(order);
            }
            next.pass(fetched);
        }
        for at in positions {
            let reached = next.progress.partitions.entry((at.topic, at.partition)).or_default();
            reached.next = reached.next.max(at.offset);
        }
        for ((topic, partition), reached) in &mut next.progress.partitions {
            if *topic == Topic::InventoryEvents && !next.fence.is_noted(*partition, &reached.note) {
                reached.note = next.fence.note(*partition);
            }
        }
        next.progress.revision += 1;
        orders.retain(|order, _| changed.contains(order));
        (Batch { orders: orders.into_values().collect(), progress: next.progress.clone() }, next)
    }

    /// Whether the record counts.
    fn admits(&mut self, record: &Delivered) -> bool {
        record.at.topic != Topic::InventoryEvents || self.fence.admits(record)
    }

    /// The record is applied, or passed over.
    fn pass(&mut self, fetched: &Fetched) {
        let at = fetched.at();
        let reached = self.progress.partitions.entry((at.topic, at.partition)).or_default();
        if at.offset < reached.next {
            return;
        }
        reached.next = at.offset.saturating_add(1);
        if let Fetched::Record(record) = fetched {
            reached.last = Some(Mark { at, id: record.message.id });
        }
    }

    /// Notes that everything that was in the log at `as_of` is applied.
    pub fn set_as_of(&mut self, as_of: Timestamp) {
        self.progress.as_of = Some(as_of);
    }

    /// Notes which topics it is folded from.
    pub fn set_topics(&mut self, topics: BTreeMap<Topic, TopicId>) {
        self.progress.topics = topics;
    }
}

impl StoredOrder {
    /// An order of which nothing is known.
    fn new(order: OrderId) -> Self {
        Self { order, entry: OrderEntry::default(), products: Vec::new() }
    }

    /// Takes in a record about the order.
    fn apply(&mut self, record: &Delivered) {
        let was_placed = self.entry.placed.is_some();
        self.entry.apply(record);
        if let Some(Event::PlaceOrder(command)) = record.message.event.business()
            && !was_placed
            && self.entry.placed.is_some()
        {
            let products: BTreeSet<_> = command.basket.lines.iter().map(|line| &line.product).collect();
            self.products = products.into_iter().cloned().collect();
        }
    }
}
