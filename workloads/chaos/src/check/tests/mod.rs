//! A sound log passes, and each way to break it is found.

mod turns;

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Acknowledged, Charge, Checker, Event, Id, Place, Rule, Truth, Violation};

const fn id(number: u128) -> Id {
    Id(Uuid::from_u128(number))
}

const ORDER: Id = id(1);
const DECLINED: Id = id(2);

/// Records of a partition: topic, partition, event.
#[derive(Clone)]
struct Log {
    records: Vec<(&'static str, i32, Value)>,
    acknowledged: HashMap<Id, Option<String>>,
    truth: Truth,
}

/// An event whose id is its number.
fn event(number: u128, name: &str, payload: &Value) -> Value {
    json!({
        "eventId": id(1_000 + number), "eventName": name, "payload": payload,
        "timestamp": format!("2026-01-31T12:00:{:02}.000Z", number % 60),
    })
}

fn by(term: u64, mut event: Value) -> Value {
    event["writer"] = json!({"term": term, "name": "w"});
    event
}

/// An order that is confirmed, and one whose payment is declined, from ten units.
fn sound() -> Log {
    let reservation = |order: Id| id(order.0.as_u128() + 100);
    let mut records = vec![
        ("inventory-events", 0, by(1, event(1, "WriterElected", &json!({})))),
        (
            "inventory-events",
            0,
            by(
                1,
                event(2, "StockDeclaredEvent", &json!({"productId": "P", "source": "api", "received": 10})),
            ),
        ),
    ];
    for (order, base) in [(ORDER, 10), (DECLINED, 20)] {
        let of = |more: Value| {
            let mut payload = more;
            payload["orderId"] = json!(order);
            payload
        };
        let held = json!({"reservationId": reservation(order), "items": [{"productId": "P", "quantity": 4}]});
        records.push(("order-events", 0, event(base, "PlaceOrderCommand", &of(json!({})))));
        records.push(("inventory-events", 0, by(1, event(base + 1, "VirtualStockReservedEvent", &of(held)))));
        let reserved = json!({"reservationId": reservation(order)});
        if order == ORDER {
            records.push((
                "payment-events",
                0,
                event(base + 2, "PaymentProcessedEvent", &of(json!({"transactionId": "T"}))),
            ));
            records.push((
                "inventory-events",
                0,
                by(1, event(base + 3, "ReservationConfirmedEvent", &of(reserved))),
            ));
            records.push(("order-events", 0, event(base + 4, "OrderCreatedEvent", &of(json!({})))));
        } else {
            records.push(("payment-events", 0, event(base + 2, "PaymentFailedEvent", &of(json!({})))));
            records.push((
                "inventory-events",
                0,
                by(1, event(base + 3, "ReservationReleasedEvent", &of(reserved))),
            ));
            records.push((
                "order-events",
                0,
                event(base + 4, "OrderCancelledEvent", &of(json!({"status": "CANCELLED"}))),
            ));
        }
        records.push(("notification-events", 0, event(base + 5, "NotificationSentEvent", &of(json!({})))));
    }
    let charge = Charge { transaction: "T".into(), refunds: 0 };
    let acknowledged = HashMap::from([(ORDER, Some("CONFIRMED".into())), (DECLINED, None)]);
    let charges = HashMap::from([(ORDER, charge)]);
    Log { records, acknowledged, truth: Truth { charges, levels: [("P".to_owned(), (6, 0))].into() } }
}

/// The links of the audit chain about all records.
fn links(records: &[(Place, Value)]) -> Vec<Value> {
    let hash = |n: usize| format!("{:064x}", n + 1);
    let link = |(n, (place, _)): (usize, &(Place, Value))| {
        let previous = if n == 0 { "0".repeat(64) } else { hash(n - 1) };
        let location = json!({"topic": place.topic, "partition": place.partition, "offset": place.offset});
        let payload = json!({"sequence": n, "location": location, "previousHash": previous, "hash": hash(n)});
        event(500 + n as u128, "AuditLogCreated", &payload)
    };
    records.iter().enumerate().map(link).collect()
}

impl Log {
    fn placed(&self) -> Vec<(Place, Value)> {
        let mut next = HashMap::<(&str, i32), i64>::new();
        let place = |(topic, partition, value): &(&'static str, i32, Value)| {
            let offset = next.entry((topic, *partition)).or_default();
            *offset += 1;
            (Place { topic: (*topic).to_owned(), partition: *partition, offset: *offset - 1 }, value.clone())
        };
        self.records.iter().map(place).collect()
    }

    fn rules(&self) -> Vec<Rule> {
        self.rules_with(|_| {})
    }

    /// The rules that are broken, once each, after `change` had the audit chain in its hands.
    fn rules_with(&self, change: impl FnOnce(&mut Vec<Value>)) -> Vec<Rule> {
        let (violations, _) = self.read_with(change).finish(&self.truth);
        rules_of(&violations)
    }

    /// A checker that has read all of it, with the audit chain as `change` left it.
    fn read_with(&self, change: impl FnOnce(&mut Vec<Value>)) -> Checker {
        let records = self.placed();
        let mut chain = links(&records);
        change(&mut chain);
        let mut checker = Checker::default();
        for (place, value) in &records {
            match serde_json::from_value::<Event>(value.clone()) {
                Ok(event) => checker.take(place, &event),
                Err(_) => checker.poisoned(place),
            }
        }
        for (offset, link) in chain.into_iter().enumerate() {
            let offset = i64::try_from(offset).unwrap();
            let place = Place { topic: "audit-logs".into(), partition: 0, offset };
            checker.take(&place, &serde_json::from_value::<Event>(link).unwrap());
        }
        for (&id, ended) in &self.acknowledged {
            checker.acknowledge(&Acknowledged { id, ended: ended.clone() });
        }
        checker
    }

    fn without(mut self, name: &str) -> Self {
        self.records.retain(|(_, _, event)| event["eventName"] != name);
        self
    }

    fn find(&self, name: &str) -> (&'static str, i32, Value) {
        self.records.iter().find(|(_, _, event)| event["eventName"] == name).unwrap().clone()
    }

    fn and(mut self, record: (&'static str, i32, Value)) -> Self {
        self.records.push(record);
        self
    }
}

/// The rules that are broken, once each.
fn rules_of(violations: &[Violation]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = violations.iter().map(|violation| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

/// The same record under another id, as a service would write it that does not know what it has answered.
fn anew((topic, partition, mut event): (&'static str, i32, Value)) -> (&'static str, i32, Value) {
    event["eventId"] = json!(id(9_999));
    (topic, partition, event)
}

#[test]
fn a_sound_log_passes() {
    assert_eq!(sound().rules(), []);
}

#[test]
fn what_stands_there_twice_counts_once() {
    let mut log = sound();
    let all = log.records.clone();
    log.records.extend(all);
    assert_eq!(log.rules(), []);
}

#[test]
fn what_a_fenced_writer_says_does_not_count() {
    let elected = ("inventory-events", 0, by(2, event(300, "WriterElected", &json!({}))));
    let late = anew(sound().find("VirtualStockReservedEvent"));
    assert_eq!(sound().and(elected).and(late.clone()).rules(), []);
    assert!(sound().and(late).rules().contains(&Rule::Resolved), "and would break much if it did");

    let (topic, partition, mut ahead) = anew(sound().find("VirtualStockReservedEvent"));
    ahead["writer"]["term"] = json!(2);
    assert_eq!(
        sound().and((topic, partition, ahead)).rules(),
        [],
        "nor what one says that was elected in another log"
    );
}

#[test]
fn an_acknowledged_order_that_is_gone_is_found() {
    assert!(sound().without("PlaceOrderCommand").rules().contains(&Rule::Kept));
}

#[test]
fn an_order_without_end_or_with_another_or_with_two_is_found() {
    assert_eq!(sound().without("OrderCancelledEvent").rules(), [Rule::Ended]);
    assert_eq!(sound().and(anew(sound().find("OrderCreatedEvent"))).rules(), [Rule::Ended]);
    let mut told = sound();
    told.acknowledged.insert(DECLINED, Some("CONFIRMED".into()));
    assert_eq!(told.rules(), [Rule::Ended]);
    assert_eq!(sound().without("NotificationSentEvent").rules(), [Rule::Ended]);
}

#[test]
fn an_order_that_is_created_without_its_units_is_found() {
    assert!(sound().without("ReservationConfirmedEvent").rules().contains(&Rule::Agreed));
    let twice = anew(sound().find("ReservationConfirmedEvent"));
    assert_eq!(sound().and(twice).rules(), [Rule::Agreed, Rule::Resolved]);
}

#[test]
fn a_reservation_that_is_left_or_released_twice_is_found() {
    assert!(sound().without("ReservationReleasedEvent").rules().contains(&Rule::Resolved));
    assert_eq!(sound().and(anew(sound().find("ReservationReleasedEvent"))).rules(), [Rule::Resolved]);
}

#[test]
fn units_that_are_sold_twice_are_found() {
    let mut log = sound();
    log.records[1].2["payload"]["received"] = json!(3);
    assert!(log.rules().contains(&Rule::NotOversold));
}

#[test]
fn a_later_writer_may_have_a_clock_that_is_behind() {
    let mut log = sound();
    let of_second_writer = |(topic, _, event): &(&'static str, i32, Value)| {
        *topic == "inventory-events" && event["payload"]["orderId"] == json!(DECLINED)
    };
    let first = log.records.iter().position(of_second_writer).unwrap();
    let its = log.records.iter_mut().filter(|record| of_second_writer(record));
    for (minute, record) in (57..).zip(its) {
        record.2["writer"]["term"] = json!(2);
        record.2["timestamp"] = json!(format!("2026-01-31T11:{minute}:00.000Z"));
    }
    let mut election = by(2, event(3, "WriterElected", &json!({})));
    election["timestamp"] = json!("2026-01-31T11:56:00.000Z");
    log.records.insert(first, ("inventory-events", 0, election));
    assert_eq!(log.rules(), []);
}

#[test]
fn levels_that_do_not_follow_are_found() {
    let mut log = sound();
    log.truth.levels.insert("P".into(), (7, 0));
    assert_eq!(log.rules(), [Rule::Shown]);
}

#[test]
fn money_that_should_not_be_gone_is_found() {
    let charge = |refunds| Charge { transaction: "U".into(), refunds };
    let mut log = sound();
    log.truth.charges.insert(DECLINED, charge(0));
    assert_eq!(log.rules(), [Rule::Charged], "it was not confirmed");
    log.truth.charges.insert(DECLINED, charge(1));
    assert_eq!(log.rules(), [Rule::Charged], "the log does not tell of the refund");
    let refunded = event(400, "PaymentRefundedEvent", &json!({"orderId": DECLINED}));
    assert_eq!(log.clone().and(("payment-events", 0, refunded)).rules(), []);
    log.truth.charges.insert(DECLINED, charge(2));
    assert_eq!(log.rules(), [Rule::Charged], "twice");
    let mut log = sound();
    log.truth.charges.clear();
    assert_eq!(log.rules(), [Rule::Charged], "confirmed without a charge");
    let mut log = sound();
    log.truth.charges.insert(id(77), charge(1));
    assert_eq!(log.rules(), [Rule::Charged], "of nobody's order");
}

#[test]
fn an_audit_chain_that_is_broken_or_lacks_a_record_is_found() {
    assert_eq!(sound().rules_with(|chain| drop(chain.pop())), [Rule::Audited]);
    assert_eq!(sound().rules_with(|chain| drop(chain.remove(3))), [Rule::Audited]);
    assert_eq!(sound().rules_with(|chain| chain[5]["payload"]["hash"] = json!("ff")), [Rule::Audited]);
    let again = |chain: &mut Vec<Value>| {
        let link = chain[2].clone();
        chain.insert(4, link);
    };
    assert_eq!(sound().rules_with(again), [], "a link that does not tie in is passed over");
}

#[test]
fn a_record_that_nobody_can_handle_and_that_is_not_kept_or_linked_is_found() {
    let poisoned = || sound().and(("order-events", 1, json!("poison")));
    let keep = |chain: &mut Vec<Value>| {
        let location = chain.last().unwrap()["payload"]["location"].clone();
        chain.insert(0, event(900, "DeadLetterStored", &json!({"location": location})));
    };
    assert_eq!(poisoned().rules_with(keep), []);
    assert_eq!(poisoned().rules(), [Rule::Audited], "not kept");
    let not_linked = |chain: &mut Vec<Value>| {
        keep(chain);
        chain.pop();
    };
    assert_eq!(poisoned().rules_with(not_linked), [Rule::Audited]);
}

#[test]
fn what_is_not_linked_or_kept_yet_is_counted() {
    assert_eq!(sound().read_with(|_| {}).unaudited(), 0);
    assert_eq!(sound().read_with(|chain| drop(chain.pop())).unaudited(), 1, "the last link is under way");
    let poisoned = sound().and(("order-events", 1, json!("poison")));
    assert_eq!(poisoned.read_with(|_| {}).unaudited(), 1, "what nobody can handle is not kept yet");
}
