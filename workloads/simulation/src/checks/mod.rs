//! What must hold, from the raw log and the world outside alone.
//!
//! After every step the books balance, in the machines and in an independent model of the raw log. In the end, with all
//! faults over, every order has one final state, every reservation is resolved, every charge belongs to a confirmed
//! order or was refunded exactly once, and the audit chain holds every record once; what nobody understands is kept there,
//! as is what lies in the wrong partition, of which nothing else comes.
//! And where records are lost, whoever would have to read them does not decide.

mod audit;
mod images;
pub(crate) mod invariants;
pub(crate) mod memory;
pub(crate) mod model;
mod outside;
mod queries;
mod report;
mod saga;
mod stock;

use std::collections::BTreeMap;

use kbnt_application::fence::TermFence;
use kbnt_application::message::Subject;
use kbnt_application::{Delivered, Topic};
use kbnt_domain::event::{Basket, CancelKind, Event};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{OrderId, Reason, Timestamp};
use thiserror::Error;

pub use self::report::Report;
use crate::world::World;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("seed {seed}, step {step}: {what}")]
pub struct Failure {
    /// Reproduces it.
    pub seed: u64,
    /// When it showed.
    pub step: u64,
    /// What is wrong.
    pub what: String,
}

/// One order, as the log tells.
#[derive(Debug, Default)]
pub(crate) struct Story<'a> {
    /// The first basket that was placed under its id.
    basket: Option<&'a Basket>,
    /// All that was written about it, by topic in the order of the log, each event id once.
    events: BTreeMap<Topic, Vec<&'a Delivered>>,
    end: Option<&'a Event>,
}

impl<'a> Story<'a> {
    fn status(&self) -> Option<OrderStatus> {
        Some(match self.end? {
            Event::OrderCancelled(e) if e.kind == CancelKind::Rejected => OrderStatus::Rejected,
            Event::OrderCancelled(_) => OrderStatus::Cancelled,
            _ => OrderStatus::Confirmed,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Event> {
        self.events.values().flatten().filter_map(|record| record.message.event.business())
    }

    /// When something was written about it first.
    fn earliest(&self) -> Option<Timestamp> {
        self.events.values().flatten().map(|record| record.message.at).min()
    }

    /// Whether the inventory has reserved or refused it, and not only promised to refuse it. An order that ended with its user is
    /// none of its business, whatever it was told besides.
    fn is_decided(&self) -> bool {
        if let Some(Event::OrderCancelled(e)) = self.end
            && matches!(e.reason, Reason::UserNotFound | Reason::UserBlocked)
        {
            return false;
        }
        self.all().any(|event| {
            matches!(
                event,
                Event::VirtualStockReserved(_)
                    | Event::InsufficientStock(_)
                    | Event::ProductNotFound(_)
                    | Event::ReservationRefused(_)
            )
        })
    }

    fn take(&mut self, record: &'a Delivered) {
        let events = self.events.entry(record.at.topic).or_default();
        if events.iter().any(|seen| seen.message.id == record.message.id) {
            return;
        }
        match record.message.event.business() {
            Some(Event::PlaceOrder(e)) if self.basket.is_none() => self.basket = Some(&e.basket),
            Some(end @ (Event::OrderCreated(_) | Event::OrderCancelled(_))) if self.end.is_none() => {
                self.end = Some(end);
            }
            _ => {}
        }
        events.push(record);
    }
}

impl World {
    /// The records that count, topic by topic.
    fn counting(&self) -> Vec<Delivered> {
        let mut fence = TermFence::default();
        let counts = |record: &&Delivered| record.at.topic != Topic::InventoryEvents || fence.admits(record);
        Topic::ALL.into_iter().flat_map(|topic| self.log.topic(topic)).filter(counts).cloned().collect()
    }

    pub(crate) fn check(&mut self) -> Result<(), String> {
        let records = self.counting();
        self.check_strays(&records)?;
        let mut stories: BTreeMap<OrderId, Story<'_>> = BTreeMap::new();
        for record in records.iter().filter(|record| record.at.topic != Topic::AuditLogs) {
            if let Subject::Order(order) = Subject::of(&record.message.event) {
                stories.entry(order).or_default().take(record);
            }
        }
        for (order, story) in &stories {
            self.check_story(*order, story).map_err(|what| format!("order {order}: {what}"))?;
            self.check_outside(*order, story).map_err(|what| format!("order {order}: {what}"))?;
        }
        let placed = |order: &OrderId| stories.get(order).is_some_and(|story| story.basket.is_some());
        if let Some(order) = self.clients.promised.iter().find(|order| !placed(order)) {
            return Err(format!("order {order} was promised and is not there"));
        }
        if let Some(order) = self.outside.accounts.keys().find(|order| !placed(order)) {
            return Err(format!("order {order} was charged and never placed"));
        }
        self.check_stock(&stories)?;
        self.check_memory(&stories)?;
        self.check_audit(&records)?;
        self.check_queries(&records, &stories)?;
        self.report.orders = stories.values().filter(|story| story.basket.is_some()).count() as u64;
        let confirmed = |story: &&Story<'_>| story.status() == Some(OrderStatus::Confirmed);
        self.report.confirmed = stories.values().filter(confirmed).count() as u64;
        self.report.digest = records.iter().fold(0, |digest: u64, record| {
            let id = record.message.id.as_uuid().as_u64_pair();
            digest.rotate_left(5)
                ^ id.0
                ^ id.1
                ^ record.at.offset
                ^ record.message.at.as_millis().cast_unsigned()
        });
        Ok(())
    }
}
