//! Orders, their reservations and their charges.

use std::collections::HashMap;

use super::{Event, Figures, Id, Rule, Truth, Violation};

/// What the log says of every order.
#[derive(Debug, Default)]
pub(super) struct Orders {
    all: HashMap<Id, Order>,
    broken: Vec<Violation>,
}

#[derive(Debug, Default)]
struct Order {
    placed: bool,
    ends: Vec<String>,
    /// The reservation that holds units now.
    active: Option<Id>,
    confirmed: u32,
    /// Charges that the log tells of.
    processed: Option<String>,
    failed: bool,
    refunded: u32,
    told: u32,
}

impl Orders {
    pub(super) fn take(&mut self, event: &Event) {
        let Some(id) = event.payload.order_id else { return };
        let order = self.all.entry(id).or_default();
        let mut wrong = None;
        match event.name.as_str() {
            "PlaceOrderCommand" => order.placed = true,
            "OrderCreatedEvent" => order.ends.push("CONFIRMED".to_owned()),
            "OrderCancelledEvent" => order.ends.push(event.payload.status.clone().unwrap_or_default()),
            "VirtualStockReservedEvent" => {
                let before = std::mem::replace(&mut order.active, event.payload.reservation_id);
                wrong = before.map(|before| format!("reserved while {before} was active"));
            }
            "ReservationConfirmedEvent" => {
                order.confirmed += 1;
                if order.active.take() != event.payload.reservation_id {
                    wrong = Some("confirmed what was not reserved".to_owned());
                }
            }
            "ReservationReleasedEvent" | "ReservationExpiredEvent" => wrong = order.freed(event),
            // The first outcome counts.
            "PaymentProcessedEvent" if order.processed.is_none() && !order.failed => {
                order.processed.clone_from(&event.payload.transaction_id);
            }
            "PaymentFailedEvent" if order.processed.is_none() => order.failed = true,
            "PaymentRefundedEvent" => order.refunded += 1,
            "NotificationSentEvent" | "NotificationFailedEvent" => order.told += 1,
            _ => {}
        }
        let violation = |detail| Violation { rule: Rule::Resolved, detail: format!("order {id}: {detail}") };
        self.broken.extend(wrong.map(violation));
    }

    pub(super) fn check(self, truth: &Truth, violations: &mut Vec<Violation>, figures: &mut Figures) {
        violations.extend(self.broken);
        for (id, ended) in &truth.acknowledged {
            let order = self.all.get(id).filter(|order| order.placed);
            let Some(order) = order else {
                let detail = format!("order {id} was acknowledged and is gone");
                violations.push(Violation { rule: Rule::Kept, detail });
                continue;
            };
            if ended.is_some() && order.ends.first() != ended.as_ref() {
                let detail = format!("order {id} was told {ended:?} and is {:?}", order.ends);
                violations.push(Violation { rule: Rule::Ended, detail });
            }
        }
        for (id, charge) in &truth.charges {
            if !self.all.contains_key(id) {
                let detail = format!("{} is for order {id}, which nobody placed", charge.transaction);
                violations.push(Violation { rule: Rule::Charged, detail });
            }
        }
        for (id, order) in &self.all {
            let mut broken = |rule, detail: String| {
                violations.push(Violation { rule, detail: format!("order {id}: {detail}") });
            };
            if !order.placed {
                continue;
            }
            figures.orders += 1;
            let [end] = order.ends.as_slice() else {
                broken(Rule::Ended, format!("it has the ends {:?}", order.ends));
                continue;
            };
            *figures.ends.entry(end.clone()).or_default() += 1;
            let confirmed = end == "CONFIRMED";
            if u32::from(confirmed) != order.confirmed {
                broken(Rule::Agreed, format!("it is {end}, and confirmed {} times", order.confirmed));
            }
            if let Some(active) = order.active {
                broken(Rule::Resolved, format!("reservation {active} is left"));
            }
            if order.told != 1 {
                broken(Rule::Ended, format!("the customer was told {} times", order.told));
            }
            order.check_charge(confirmed, truth.charges.get(id), &mut broken);
        }
    }
}

impl Order {
    /// What is wrong with the end of a reservation. Without one it is the promise to refuse a late one.
    fn freed(&mut self, event: &Event) -> Option<String> {
        let freed = event.payload.reservation_id?;
        (self.active.take() != Some(freed)).then(|| format!("{} of what was not reserved", event.name))
    }

    fn check_charge(
        &self,
        confirmed: bool,
        charge: Option<&super::Charge>,
        broken: &mut impl FnMut(Rule, String),
    ) {
        let refunds = charge.map_or(0, |charge| charge.refunds);
        match charge {
            None if confirmed => broken(Rule::Charged, "confirmed without a charge".to_owned()),
            Some(_) if confirmed && refunds > 0 => {
                broken(Rule::Charged, "confirmed, and the money went back".to_owned());
            }
            Some(charge) if !confirmed && refunds != 1 => {
                broken(
                    Rule::Charged,
                    format!("not confirmed; {} was refunded {refunds} times", charge.transaction),
                );
            }
            _ => {}
        }
        let known = charge.map(|charge| &charge.transaction);
        if self.processed.is_some() && self.processed.as_ref() != known {
            broken(Rule::Charged, format!("the log says {:?}, the gateway {known:?}", self.processed));
        }
        if self.refunded != refunds {
            broken(Rule::Charged, format!("the log says {} refunds, the gateway {refunds}", self.refunded));
        }
    }
}
