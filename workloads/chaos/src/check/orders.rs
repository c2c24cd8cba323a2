//! Orders, their reservations and their charges.

use std::collections::HashMap;

use super::gone::Gone;
use super::{Acknowledged, Charge, Event, Figures, Id, Rule, Truth, Violation, note};

/// For how many turns nothing must have been said of an order before it is forgotten.
const QUIET: u32 = 3;

/// For how many turns an order may be as no order may be, because something is still under way.
const PATIENCE: u32 = 15;

/// What the log says of every order that is not over for long.
#[derive(Debug, Default)]
pub(super) struct Orders {
    all: HashMap<Id, Order>,
    gone: Gone,
    turn: u32,
    broken: Vec<Violation>,
}

#[derive(Debug, Default)]
struct Order {
    placed: bool,
    acknowledged: bool,
    /// How it ended by what a buyer was told.
    reported: Option<String>,
    ends: Vec<String>,
    /// The reservation that holds units now.
    active: Option<Id>,
    confirmed: u32,
    /// Charges that the log tells of.
    processed: Option<String>,
    failed: bool,
    refunded: u32,
    told: u32,
    /// The ids of its events.
    seen: Vec<Id>,
    /// The turn in which something was said of it.
    touched: u32,
}

impl Orders {
    /// Takes in an event about an order, if it is the first one with its id; whether it is.
    pub(super) fn take(&mut self, id: Id, event: &Event) -> bool {
        if !self.all.contains_key(&id) && self.gone.contains(id) {
            let detail = format!("order {id}: {} came long after it was over", event.name);
            note(&mut self.broken, Violation { rule: Rule::Over, detail });
            return false;
        }
        let order = self.all.entry(id).or_default();
        order.touched = self.turn;
        if order.seen.contains(&event.id) {
            return false;
        }
        order.seen.push(event.id);
        if let Some(wrong) = order.take(event) {
            let detail = format!("order {id}: {wrong}");
            note(&mut self.broken, Violation { rule: Rule::Resolved, detail });
        }
        true
    }

    pub(super) fn acknowledge(&mut self, of: &Acknowledged) {
        if !self.all.contains_key(&of.id) && self.gone.contains(of.id) {
            // It was judged without that: a buyer whose answer was lost has asked again.
            return;
        }
        let order = self.all.entry(of.id).or_default();
        (order.acknowledged, order.touched) = (true, self.turn);
        order.reported.clone_from(&of.ended);
    }

    pub(super) const fn broken(&self) -> &Vec<Violation> {
        &self.broken
    }

    /// Judges and forgets those of which nothing has been said for some turns; which. One that is not as it should be may have something
    /// under way, and is given more time.
    pub(super) fn turn(&mut self, charge: impl Fn(Id) -> Option<Charge>, figures: &mut Figures) -> Vec<Id> {
        self.turn += 1;
        let mut forgotten = Vec::new();
        for (id, order) in &self.all {
            let quiet = self.turn - order.touched;
            if quiet < QUIET {
                continue;
            }
            let charge = charge(*id);
            let violations = order.judge(*id, charge.as_ref());
            if violations.is_empty() || quiet >= PATIENCE {
                order.count(charge.as_ref(), figures);
                for violation in violations {
                    note(&mut self.broken, violation);
                }
                forgotten.push(*id);
            }
        }
        for id in &forgotten {
            self.all.remove(id);
            self.gone.insert(*id);
        }
        forgotten
    }

    pub(super) fn check(self, truth: &Truth, violations: &mut Vec<Violation>, figures: &mut Figures) {
        violations.extend(self.broken);
        for (id, charge) in &truth.charges {
            if !self.all.contains_key(id) {
                let detail = format!("{} is for order {id}, which nobody placed", charge.transaction);
                violations.push(Violation { rule: Rule::Charged, detail });
            }
        }
        for (id, order) in &self.all {
            violations.extend(order.judge(*id, truth.charges.get(id)));
            order.count(truth.charges.get(id), figures);
        }
    }
}

impl Order {
    /// What is wrong with that, if something is.
    fn take(&mut self, event: &Event) -> Option<String> {
        match event.name.as_str() {
            "PlaceOrderCommand" => self.placed = true,
            "OrderCreatedEvent" => self.ends.push("CONFIRMED".to_owned()),
            "OrderCancelledEvent" => self.ends.push(event.payload.status.clone().unwrap_or_default()),
            "VirtualStockReservedEvent" => {
                let before = std::mem::replace(&mut self.active, event.payload.reservation_id);
                return before.map(|before| format!("reserved while {before} was active"));
            }
            "ReservationConfirmedEvent" => {
                self.confirmed += 1;
                if self.active.take() != event.payload.reservation_id {
                    return Some("confirmed what was not reserved".to_owned());
                }
            }
            "ReservationReleasedEvent" | "ReservationExpiredEvent" => return self.freed(event),
            // The first outcome counts.
            "PaymentProcessedEvent" if self.processed.is_none() && !self.failed => {
                self.processed.clone_from(&event.payload.transaction_id);
            }
            "PaymentFailedEvent" if self.processed.is_none() => self.failed = true,
            "PaymentRefundedEvent" => self.refunded += 1,
            "NotificationSentEvent" | "NotificationFailedEvent" => self.told += 1,
            _ => {}
        }
        None
    }

    /// What is wrong with the end of a reservation. Without one it is the promise to refuse a late one.
    fn freed(&mut self, event: &Event) -> Option<String> {
        let freed = event.payload.reservation_id?;
        (self.active.take() != Some(freed)).then(|| format!("{} of what was not reserved", event.name))
    }

    /// What is wrong with it, if nothing is under way any more.
    fn judge(&self, id: Id, charge: Option<&Charge>) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut broken = |rule, detail: String| {
            violations.push(Violation { rule, detail: format!("order {id}: {detail}") });
        };
        if !self.placed {
            if self.acknowledged {
                broken(Rule::Kept, "it was acknowledged and is gone".to_owned());
            }
            return violations;
        }
        if self.reported.is_some() && self.ends.first() != self.reported.as_ref() {
            broken(Rule::Ended, format!("it was told {:?} and is {:?}", self.reported, self.ends));
        }
        let [end] = self.ends.as_slice() else {
            broken(Rule::Ended, format!("it has the ends {:?}", self.ends));
            return violations;
        };
        let confirmed = end == "CONFIRMED";
        if u32::from(confirmed) != self.confirmed {
            broken(Rule::Agreed, format!("it is {end}, and confirmed {} times", self.confirmed));
        }
        if let Some(active) = self.active {
            broken(Rule::Resolved, format!("reservation {active} is left"));
        }
        if self.told != 1 {
            broken(Rule::Ended, format!("the customer was told {} times", self.told));
        }
        self.judge_charge(confirmed, charge, &mut broken);
        violations
    }

    fn judge_charge(&self, confirmed: bool, charge: Option<&Charge>, broken: &mut impl FnMut(Rule, String)) {
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

    fn count(&self, charge: Option<&Charge>, figures: &mut Figures) {
        if !self.placed {
            return;
        }
        figures.orders += 1;
        figures.charged += u64::from(charge.is_some());
        figures.refunded += u64::from(charge.is_some_and(|charge| charge.refunds > 0));
        if let [end] = self.ends.as_slice() {
            *figures.ends.entry(end.clone()).or_default() += 1;
        }
    }
}
