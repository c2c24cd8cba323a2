//! All orders: what became of each, how many there are of each kind, the newest first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map};
use std::fmt;

use kbnt_domain::event::{Basket, Event};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Span, Timestamp, UserId};

use super::cursor::Cursor;
use super::order::{OrderEntry, OrderView, Placement};
use crate::machine::{Delivered, Position};
use crate::message::Topic;
use crate::partition_state::{Inputs, Present};
use crate::projection::Projection;

/// How many ended orders are shown; pending ones always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookLimits {
    /// Orders that ended longer than this before the newest one are dropped.
    pub window: Span,
    /// More ended orders than these are not kept; the oldest are dropped first. One takes some 600 bytes.
    pub most: usize,
}

impl BookLimits {
    /// How many of the newest records of each partition hold the orders that are kept. An order has two or three in its partition of
    /// order-events, the first and the last of all among them, and no topic has more of it; each topic has three partitions.
    const fn looks_back(self) -> u64 {
        (self.most as u64).saturating_mul(3) / 2
    }
}

impl Default for BookLimits {
    /// 24 hours, 200,000 orders.
    fn default() -> Self {
        Self { window: Span::from_minutes(24 * 60), most: 200_000 }
    }
}

/// Answers that are kept until their commands are read; topics are read at nearly the same pace.
const AHEAD_MOST: usize = 100_000;

/// How many orders stand where, those included that are no longer shown; but not those that had ended before the records to which the
/// read model [looks back](Projection::looks_back) at a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not decided yet.
    pub pending: u64,
    /// Confirmed.
    pub confirmed: u64,
    /// Refused before anything was reserved.
    pub rejected: u64,
    /// Undone after.
    pub cancelled: u64,
}

impl fmt::Display for Counts {
    /// A text that differs whenever the counts do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.pending, self.confirmed, self.rejected, self.cancelled)
    }
}

impl Counts {
    fn of(&mut self, status: OrderStatus) -> &mut u64 {
        match status {
            OrderStatus::Pending => &mut self.pending,
            OrderStatus::Confirmed => &mut self.confirmed,
            OrderStatus::Rejected => &mut self.rejected,
            OrderStatus::Cancelled => &mut self.cancelled,
        }
    }
}

/// Part of the list of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub orders: Vec<OrderView>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<Cursor>,
}

/// All orders.
#[derive(Clone, Debug, Default)]
pub struct OrderBook {
    limits: BookLimits,
    /// Boxed, as a table has room for more than it holds.
    orders: HashMap<OrderId, Box<OrderEntry>>,
    by_age: [BTreeSet<Cursor>; 4],
    counts: Counts,
    /// Pending orders by user, of those who have some.
    pending: HashMap<UserId, u64>,
    seen: Inputs,
    /// Ended orders, oldest end first.
    ended: VecDeque<(Timestamp, OrderId)>,
    newest_end: Timestamp,
    present: Present,
    /// Answers to repeated commands that were read before the commands, by the command's place and the topic of the answer.
    ahead: BTreeMap<(Position, Topic), Delivered>,
    /// Orders that something else was heard of first.
    unplaced: VecDeque<OrderId>,
}

impl OrderBook {
    /// The topics that say what became of an order.
    pub const TOPICS: &'static [Topic] = &[
        Topic::OrderEvents,
        Topic::UserEvents,
        Topic::InventoryEvents,
        Topic::PaymentEvents,
        Topic::NotificationEvents,
    ];

    /// No orders yet.
    pub fn new(limits: BookLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// One order, if it was placed and is still shown.
    pub fn get(&self, order: &OrderId) -> Option<OrderView> {
        self.orders.get(order)?.view(*order)
    }

    /// Where an order stands, without its timeline.
    pub fn status(&self, order: &OrderId) -> Option<OrderStatus> {
        self.orders.get(order).filter(|entry| entry.placed.is_some()).map(|entry| entry.status)
    }

    /// What placing `basket` under this id comes to, by what was read so far.
    pub fn placement(&self, order: &OrderId, basket: &Basket) -> Placement {
        self.orders.get(order).map_or(Placement::New, |entry| entry.placement(*order, basket))
    }

    /// How many orders stand where.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// How many orders of this user are pending.
    pub fn pending_of(&self, user: &UserId) -> u64 {
        self.pending.get(user).copied().unwrap_or_default()
    }

    /// At most `limit` orders, newest first, after `after`: all, or those of one status.
    pub fn page(&self, status: Option<OrderStatus>, limit: usize, after: Option<Cursor>) -> Page {
        let mut keys: Vec<Cursor> = OrderStatus::ALL
            .into_iter()
            .filter(|candidate| status.is_none_or(|status| status == *candidate))
            .flat_map(|status| {
                let set = &self.by_age[status as usize];
                let older: Box<dyn Iterator<Item = &Cursor>> = match after {
                    Some(after) => Box::new(set.range(..after).rev()),
                    None => Box::new(set.iter().rev()),
                };
                older.take(limit.saturating_add(1))
            })
            .copied()
            .collect();
        keys.sort_unstable_by(|a, b| b.cmp(a));
        let more = keys.len() > limit;
        keys.truncate(limit);
        let next = keys.last().copied().filter(|_| more);
        Page { orders: keys.iter().filter_map(|key| self.get(&key.order)).collect(), next }
    }

    /// Keeps the index in step with an order whose record was taken in.
    fn moved(&mut self, order: OrderId, placed_at: Timestamp, from: Option<OrderStatus>, to: OrderStatus) {
        let key = Cursor { placed_at, order };
        if let Some(from) = from {
            self.by_age[from as usize].remove(&key);
        }
        self.by_age[to as usize].insert(key);
    }

    /// Keeps the count of a user's pending orders in step.
    fn moved_of(&mut self, user: UserId, from: Option<OrderStatus>, to: OrderStatus) {
        if to == OrderStatus::Pending {
            *self.pending.entry(user).or_default() += 1;
        } else if from == Some(OrderStatus::Pending)
            && let hash_map::Entry::Occupied(mut pending) = self.pending.entry(user)
        {
            *pending.get_mut() -= 1;
            if *pending.get() == 0 {
                pending.remove();
            }
        }
    }

    fn drop_oldest(&mut self) {
        while self.ended.len() > self.limits.most
            || self.ended.front().is_some_and(|(at, _)| self.newest_end.since(*at) > self.limits.window)
        {
            let Some((_, order)) = self.ended.pop_front() else { break };
            let dropped = self.orders.remove(&order).map(|entry| (entry.status, entry.placed));
            if let Some((status, Some(placed))) = dropped {
                self.by_age[status as usize].remove(&Cursor { placed_at: placed.at, order });
            }
        }
        while self.unplaced.len() > self.limits.most {
            let Some(order) = self.unplaced.pop_front() else { break };
            if self.orders.get(&order).is_some_and(|entry| entry.placed.is_none()) {
                self.orders.remove(&order);
            }
        }
    }
}

impl Projection for OrderBook {
    fn topics(&self) -> &'static [Topic] {
        Self::TOPICS
    }

    fn looks_back(&self) -> Option<u64> {
        Some(self.limits.looks_back())
    }

    /// A clock that was wrong makes no order old after it is put back.
    fn set_clock(&mut self, now: Timestamp) {
        if self.present.set(now) {
            self.newest_end = self.newest_end.min(now);
            for (at, _) in &mut self.ended {
                *at = (*at).min(now);
            }
        }
    }

    fn apply(&mut self, record: &Delivered) {
        let Some(order) = record.message.order().filter(|_| self.seen.advance(record.at)) else { return };
        let repeats = match record.message.event.business() {
            Some(Event::OrderRepeated(_)) => true,
            Some(Event::UserRejected(e)) => e.repeated,
            _ => false,
        };
        match (&record.message.event, record.source) {
            // The topics are read side by side: the answer may come before the command that it answers.
            (_, Some(command)) if repeats && !self.seen.has(command) => {
                // An append that was tried again may have written it twice: the first one counts.
                self.ahead.entry((command, record.at.topic)).or_insert_with(|| record.clone());
                while self.ahead.len() > AHEAD_MOST {
                    self.ahead.pop_first();
                }
            }
            _ => self.take(order, record),
        }
        self.take_answers_up_to(record.at);
        self.drop_oldest();
    }
}

impl OrderBook {
    /// Takes in the answers that waited for commands up to this place.
    fn take_answers_up_to(&mut self, at: Position) {
        let first = (Position { offset: 0, ..at }, Topic::ALL[0]);
        let last = (Position { offset: at.offset.saturating_add(1), ..at }, Topic::ALL[0]);
        while let Some((key, _)) = self.ahead.range(first..last).next() {
            let key = *key;
            let Some(answer) = self.ahead.remove(&key) else { return };
            if let Some(order) = answer.message.order() {
                self.take(order, &answer);
            }
        }
    }

    /// Takes in a record about an order.
    fn take(&mut self, order: OrderId, record: &Delivered) {
        let entry = self.orders.entry(order).or_insert_with(|| {
            self.unplaced.push_back(order);
            Box::default()
        });
        let (before, counted) = (entry.placed.as_ref().map(|_| entry.status), entry.counted());
        entry.apply(record);
        let (after, counts) = (entry.status, entry.counted());
        let Some(placed) = &entry.placed else { return };
        if counted != counts {
            if let Some(status) = counted {
                *self.counts.of(status) -= 1;
            }
            if let Some(status) = counts {
                *self.counts.of(status) += 1;
            }
        }
        if before != Some(after) {
            let (placed_at, user) = (placed.at, placed.user.clone());
            self.moved_of(user, before, after);
            self.moved(order, placed_at, before, after);
            if after != OrderStatus::Pending {
                let at = self.present.cap(record.message.at);
                self.newest_end = self.newest_end.max(at);
                self.ended.push_back((at, order));
            }
        }
    }
}
