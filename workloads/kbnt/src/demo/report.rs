//! The outcome of a scenario.

use std::collections::BTreeMap;
use std::fmt::Display;

use kbnt_application::message::Classification;
use serde_json::{Value, json};

use super::detail::detail;
use super::scenario::{Buyer, Scenario};
use super::shop::Story;

/// Levels by product: real, reserved, available.
pub(super) type Levels = BTreeMap<String, (u64, u64, u64)>;

/// An expectation, and whether it holds.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) what: String,
    pub(super) expected: String,
    pub(super) found: String,
}

impl Check {
    pub(super) fn holds(&self) -> bool {
        self.expected == self.found
    }
}

/// One step of an order.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) layer: &'static str,
    pub(super) service: &'static str,
    pub(super) event: &'static str,
    pub(super) place: (&'static str, u32, u64),
    pub(super) detail: String,
}

/// An order that was shown.
#[derive(Clone, Debug)]
pub(super) struct OrderReport {
    pub(super) id: String,
    pub(super) user: &'static str,
    pub(super) wish: String,
    pub(super) expected: String,
    pub(super) end: String,
    pub(super) amount: Option<String>,
    pub(super) steps: Vec<Step>,
    pub(super) audited: usize,
}

fn end(status: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| status.to_owned(), |reason| format!("{status} {reason}"))
}

impl OrderReport {
    pub(super) fn new(story: &Story, buyer: &Buyer) -> Self {
        let step = |record: &kbnt_application::Delivered| Step {
            layer: record.message.service.layer().name(),
            service: record.message.service.name(),
            event: Classification::of(&record.message.event).name,
            place: (record.at.topic.name(), record.at.partition, record.at.offset),
            detail: detail(&record.message.event),
        };
        let order = &story.order;
        Self {
            id: order.order.to_string(),
            user: buyer.user,
            wish: format!("{} x {}", buyer.quantity, buyer.product),
            expected: end(buyer.end.0, buyer.end.1),
            end: end(order.status.code(), order.reason.map(kbnt_domain::Reason::code)),
            amount: order.amount.map(|amount| amount.to_string()),
            steps: story.steps.iter().map(step).collect(),
            audited: story.audited,
        }
    }

    fn to_json(&self) -> Value {
        let step = |step: &Step| {
            let (topic, partition, offset) = step.place;
            json!({
                "layer": step.layer, "service": step.service, "eventName": step.event, "topic": topic,
                "partition": partition, "offset": offset, "detail": step.detail,
            })
        };
        json!({
            "orderId": self.id, "userId": self.user, "wish": self.wish, "expected": self.expected, "end": self.end,
            "amount": self.amount, "audited": self.audited, "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }
}

/// The outcome of a scenario.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) orders: Vec<OrderReport>,
    /// How many orders ended in each way.
    pub(super) ends: BTreeMap<String, usize>,
    pub(super) checks: Vec<Check>,
    pub(super) stock: Levels,
    pub(super) messages: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            name: scenario.name,
            title: scenario.title,
            orders: Vec::new(),
            ends: BTreeMap::new(),
            checks: Vec::new(),
            stock: Levels::new(),
            messages: BTreeMap::new(),
        }
    }

    /// Whether every expectation holds.
    pub(super) fn is_good(&self) -> bool {
        self.checks.iter().all(Check::holds)
    }

    pub(super) fn check(&mut self, what: impl Into<String>, expected: impl Display, found: impl Display) {
        let (expected, found) = (expected.to_string(), found.to_string());
        self.checks.push(Check { what: what.into(), expected, found });
    }

    pub(super) fn check_levels(&mut self, expected: &[(&str, u64, u64)], found: &Levels) {
        let shown = |(real, reserved, available): (u64, u64, u64)| {
            format!("real {real}, reserved {reserved}, available {available}")
        };
        for (product, real, reserved) in expected {
            let found = found.get(*product).map_or_else(|| "nothing".to_owned(), |levels| shown(*levels));
            self.check(*product, shown((*real, *reserved, real - reserved)), found);
        }
    }

    pub(super) fn take_order(&mut self, order: OrderReport) {
        self.check(format!("{}'s order of {}", order.user, order.wish), &order.expected, &order.end);
        self.check(format!("{}'s audited events", order.user), order.steps.len(), order.audited);
        *self.ends.entry(order.end.clone()).or_default() += 1;
        self.orders.push(order);
    }

    /// Counts an order that is not shown.
    pub(super) fn count_end(&mut self, (status, reason): (String, Option<String>)) {
        *self.ends.entry(end(&status, reason.as_deref())).or_default() += 1;
    }

    /// How many orders ended in this way.
    pub(super) fn ends_with(&self, (status, reason): (&str, Option<&str>)) -> usize {
        self.ends.get(&end(status, reason)).copied().unwrap_or(0)
    }

    pub(super) fn to_json(&self) -> Value {
        let check = |check: &Check| json!({"what": check.what, "expected": check.expected, "found": check.found, "ok": check.holds()});
        let level = |(product, (real, reserved, available)): (&String, &(u64, u64, u64))| json!({"productId": product, "real": real, "reserved": reserved, "available": available});
        json!({
            "name": self.name, "title": self.title, "ok": self.is_good(),
            "ends": self.ends,
            "orders": self.orders.iter().map(OrderReport::to_json).collect::<Vec<_>>(),
            "stock": self.stock.iter().map(level).collect::<Vec<_>>(),
            "messages": self.messages,
            "checks": self.checks.iter().map(check).collect::<Vec<_>>(),
        })
    }
}
