//! Recomputes from the log what must be true, and says what is not.
//!
//! It shares no code with the services: it reads JSON as docs/events.md describes it, and applies the two rules of every
//! reader. Of records with one id the first counts, and on inventory-events only a record whose writer is that of the newest
//! `WriterElected` before it in its partition does.
//!
//! It can be given a log that is as long as one likes: at each `turn` it judges and forgets what has long been over.

mod audit;
mod event;
mod gone;
mod orders;
mod place;
mod stock;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

pub(crate) use event::{Event, Id, Item, Place, Writer};

/// What is known without the log, at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    /// Charges at the payment gateway.
    pub(crate) charges: HashMap<Id, Charge>,
    /// Real and reserved units of each product, as the service shows them.
    pub(crate) levels: BTreeMap<String, (u64, u64)>,
}

/// An order that was acknowledged over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    /// Which.
    pub(crate) id: Id,
    /// How it ended, if it was said to have ended.
    pub(crate) ended: Option<String>,
}

/// A charge at the gateway, and what became of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Charge {
    /// Its id.
    pub(crate) transaction: String,
    /// How often the money went back.
    pub(crate) refunds: u32,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which rule is broken.
    pub(crate) rule: Rule,
    /// Where, and how.
    pub(crate) detail: String,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// No record is missing between the first one of a partition and the last one.
    Whole,
    /// An acknowledged order is in the log.
    Kept,
    /// Every order has exactly one end, and the one that was told.
    Ended,
    /// Nothing is said of an order that has long been over.
    Over,
    /// An order is created exactly where its reservation is confirmed.
    Agreed,
    /// A reservation is resolved once, and none is left.
    Resolved,
    /// Never more units are held or gone than were received.
    NotOversold,
    /// The service shows the levels that follow from the log.
    Shown,
    /// A charge belongs to a confirmed order, or is refunded exactly once; the log says the same.
    Charged,
    /// The audit chain is whole, and has every record; those that nobody can handle are kept.
    Audited,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Records of the six topics that are events.
    pub(crate) events: u64,
    /// Of them, those that stood there twice.
    pub(crate) repeated: u64,
    /// Of them, those of fenced writers.
    pub(crate) fenced: u64,
    /// Records that nobody can handle.
    pub(crate) poisoned: u64,
    /// Orders that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Orders.
    pub(crate) orders: u64,
    /// Orders by how they ended.
    pub(crate) ends: BTreeMap<String, u64>,
    /// Of the orders, those that were charged, and of these those whose money went back.
    pub(crate) charged: u64,
    /// See above.
    pub(crate) refunded: u64,
    /// Links of the audit chain.
    pub(crate) links: u64,
    /// Links that came second in a race, or repeat others.
    pub(crate) passed_over: u64,
}

/// Reads the log: each partition in its order, the partitions in any.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// Where each partition goes on.
    next: HashMap<(String, i32), i64>,
    /// The ids of events that are about no order: since the turn before, and between the two turns before it.
    seen: HashSet<(i32, Id)>,
    seen_before: HashSet<(i32, Id)>,
    newest: HashMap<i32, Writer>,
    orders: orders::Orders,
    stock: stock::Stock,
    audit: audit::Audit,
    gaps: Vec<Violation>,
    figures: Figures,
}

impl Checker {
    /// Takes in the next record of a partition.
    pub(crate) fn take(&mut self, place: &Place, event: &Event) {
        self.pass(place);
        self.figures.events += 1;
        if place.topic == "audit-logs" {
            self.audit.take(event);
            return;
        }
        if place.topic == "inventory-events" && !self.admits(place.partition, event) {
            self.figures.fenced += 1;
            self.audit.may_lack(place);
            return;
        }
        self.audit.must_have(place);
        let id = (place.partition, event.id);
        let is_new = match event.payload.order_id {
            Some(order) => self.orders.take(order, event),
            None => !self.seen_before.contains(&id) && self.seen.insert(id),
        };
        if is_new {
            self.stock.take(event);
        } else {
            self.figures.repeated += 1;
        }
    }

    /// Takes in a record that nobody can handle.
    pub(crate) fn poisoned(&mut self, place: &Place) {
        self.pass(place);
        self.figures.poisoned += 1;
        self.audit.must_keep(place);
    }

    /// Takes in a record that is no event, and about which no rule says anything.
    pub(crate) fn pass(&mut self, place: &Place) {
        let next = self.next.entry((place.topic.clone(), place.partition)).or_default();
        let expected = std::mem::replace(next, place.offset + 1);
        if expected != place.offset {
            let Place { topic, partition, offset } = place;
            let detail = format!("{topic}/{partition}@{offset} came where @{expected} was to come");
            note(&mut self.gaps, Violation { rule: Rule::Whole, detail });
        }
    }

    /// Says that the log has no record before this one any more.
    pub(crate) fn begins(&mut self, place: &Place) {
        let next = self.next.entry((place.topic.clone(), place.partition)).or_default();
        if *next < place.offset {
            let Place { topic, partition, offset } = place;
            let detail = format!("{topic}/{partition}@{next} to @{offset} were cut before they were read");
            note(&mut self.gaps, Violation { rule: Rule::Whole, detail });
            *next = place.offset;
        }
    }

    /// Takes in what a buyer was told.
    pub(crate) fn acknowledge(&mut self, acknowledged: &Acknowledged) {
        self.figures.acknowledged += 1;
        self.orders.acknowledge(acknowledged);
    }

    /// How many of the records that were taken in are not audited yet.
    pub(crate) fn unaudited(&self) -> usize {
        self.audit.lacking().count()
    }

    /// How many orders were acknowledged.
    pub(crate) const fn acknowledged(&self) -> u64 {
        self.figures.acknowledged
    }

    /// How many violations are known already.
    pub(crate) fn violations(&self) -> usize {
        [&self.gaps, self.orders.broken(), self.audit.broken()].into_iter().map(Vec::len).sum()
    }

    /// Judges and forgets what was over some turns ago; the orders that are forgotten. All of the log up to some moment since the
    /// turn before must have been taken in, or what is only late would count as missing.
    pub(crate) fn turn(&mut self, charge: impl Fn(Id) -> Option<Charge>) -> Vec<Id> {
        self.seen_before = std::mem::take(&mut self.seen);
        self.stock.turn();
        self.audit.turn();
        self.orders.turn(charge, &mut self.figures)
    }

    fn admits(&mut self, partition: i32, event: &Event) -> bool {
        let Some(writer) = &event.writer else { return false };
        let newest = self.newest.get(&partition);
        if event.name != "WriterElected" {
            return newest == Some(writer);
        }
        let admitted = newest.is_none_or(|newest| writer >= newest);
        if admitted {
            self.newest.insert(partition, writer.clone());
        }
        admitted
    }

    /// What is wrong, and what was looked at.
    pub(crate) fn finish(mut self, truth: &Truth) -> (Vec<Violation>, Figures) {
        let mut violations = self.gaps;
        self.orders.check(truth, &mut violations, &mut self.figures);
        self.stock.check(truth, &mut violations);
        self.audit.check(&mut violations, &mut self.figures);
        (violations, self.figures)
    }
}

/// Violations of a kind that are kept; where there are more, these are enough.
const KEPT: usize = 1_000;

fn note(violations: &mut Vec<Violation>, violation: Violation) {
    if violations.len() < KEPT {
        violations.push(violation);
    }
}
