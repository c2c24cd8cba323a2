//! Recomputes from the log what must be true, and says what is not.
//!
//! It shares no code with the services: it reads JSON as docs/events.md describes it, and applies the two rules of every
//! reader. Of records with one id the first counts, and on inventory-events only a record whose writer is that of the newest
//! `WriterElected` before it in its partition does.

mod audit;
mod event;
mod orders;
mod stock;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

pub(crate) use event::{Event, Id, Item, Place, Writer};

/// What is known without the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth {
    /// Orders that were acknowledged over HTTP, and how those ended that were said to have ended.
    pub(crate) acknowledged: HashMap<Id, Option<String>>,
    /// Charges at the payment gateway.
    pub(crate) charges: HashMap<Id, Charge>,
    /// Real and reserved units of each product, as the service shows them at the end.
    pub(crate) levels: BTreeMap<String, (u64, u64)>,
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
    /// An acknowledged order is in the log.
    Kept,
    /// Every order has exactly one end, and the one that was told.
    Ended,
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
    /// Orders.
    pub(crate) orders: u64,
    /// Orders by how they ended.
    pub(crate) ends: BTreeMap<String, u64>,
    /// Links of the audit chain.
    pub(crate) links: u64,
    /// Links that came second in a race, or repeat others.
    pub(crate) passed_over: u64,
}

/// Reads the log: each partition in its order, the partitions in any.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    seen: HashSet<(i32, Id)>,
    newest: HashMap<i32, Writer>,
    orders: orders::Orders,
    stock: stock::Stock,
    audit: audit::Audit,
    figures: Figures,
}

impl Checker {
    /// Takes in the next record of a partition.
    pub(crate) fn take(&mut self, place: &Place, event: &Event) {
        self.figures.events += 1;
        if place.topic == "audit-logs" {
            self.audit.take(event);
            return;
        }
        if place.topic == "inventory-events" && !self.admits(place.partition, event) {
            self.figures.fenced += 1;
            return;
        }
        self.audit.must_have(place.clone());
        if !self.seen.insert((place.partition, event.id)) {
            self.figures.repeated += 1;
            return;
        }
        self.orders.take(event);
        self.stock.take(event);
    }

    /// Takes in a record that nobody can handle.
    pub(crate) fn poisoned(&mut self, place: &Place) {
        self.figures.poisoned += 1;
        self.audit.must_keep(place.clone());
    }

    /// How many of the records that were taken in are not audited yet.
    pub(crate) fn unaudited(&self) -> usize {
        self.audit.lacking()
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
        let mut violations = Vec::new();
        self.orders.check(truth, &mut violations, &mut self.figures);
        self.stock.check(truth, &mut violations);
        self.audit.check(&mut violations, &mut self.figures);
        (violations, self.figures)
    }
}
