//! A log that is judged as it is read, and of which nothing is kept that is over: what is wrong with it is found all the same.

use super::*;

/// Turns after which an order that is over is forgotten.
const FORGOTTEN: usize = 4;

/// Turns after which an order counts that is not as it should be.
const GIVEN_UP: usize = 16;

/// A checker that reads a log piece by piece.
struct Reader {
    log: Log,
    checker: Checker,
    forgotten: Vec<Id>,
    next: HashMap<(&'static str, i32), i64>,
    /// The number of the next link, and the hash of the last one.
    links: u64,
    head: String,
    linked: Vec<Place>,
}

impl Reader {
    fn new() -> Self {
        let (checker, forgotten, next) = (Checker::default(), Vec::new(), HashMap::new());
        let (log, head) = (sound(), "0".repeat(64));
        Self { log, checker, forgotten, next, links: 0, head, linked: Vec::new() }
    }

    /// One that has read the sound log, with its links, and is told of both orders.
    fn of_sound() -> Self {
        let mut reader = Self::new();
        for record in reader.log.records.clone() {
            reader.read(&record);
        }
        for (id, ended) in reader.log.acknowledged.clone() {
            reader.checker.acknowledge(&Acknowledged { id, ended });
        }
        reader
    }

    fn place(&mut self, topic: &'static str, partition: i32) -> Place {
        let next = self.next.entry((topic, partition)).or_default();
        *next += 1;
        Place { topic: topic.to_owned(), partition, offset: *next - 1 }
    }

    fn read(&mut self, record: &(&'static str, i32, Value)) {
        let place = self.read_unlinked(record);
        self.link(&place);
    }

    fn read_unlinked(&mut self, (topic, partition, value): &(&'static str, i32, Value)) -> Place {
        let place = self.place(topic, *partition);
        self.checker.take(&place, &serde_json::from_value(value.clone()).unwrap());
        place
    }

    fn link(&mut self, place: &Place) {
        let location = json!({"topic": place.topic, "partition": place.partition, "offset": place.offset});
        let hash = format!("{:064x}", self.links + 1);
        let payload =
            json!({"sequence": self.links, "location": location, "previousHash": self.head, "hash": hash});
        let link = event(u128::from(self.links) + 100_000, "AuditLogCreated", &payload);
        (self.links, self.head) = (self.links + 1, hash);
        self.linked.push(place.clone());
        let of_link = self.place("audit-logs", 0);
        self.checker.take(&of_link, &serde_json::from_value(link).unwrap());
    }

    fn turn(&mut self, turns: usize) {
        for _ in 0..turns {
            let charges = &self.log.truth.charges;
            self.forgotten.extend(self.checker.turn(|order| charges.get(&order).cloned()));
        }
        // The gateway forgets them, too.
        self.log.truth.charges.retain(|order, _| !self.forgotten.contains(order));
    }

    fn rules(self) -> Vec<Rule> {
        let (violations, _) = self.checker.finish(&self.log.truth);
        rules_of(&violations)
    }
}

/// The orders of the sound log under other ids, as somebody else places and ends them.
fn others(round: u128) -> Vec<(&'static str, i32, Value)> {
    let (mut number, offset) = (round * 1_000, 10_000 + round * 10);
    let renamed = |record: &(&'static str, i32, Value)| {
        let (topic, partition, mut event) = record.clone();
        number += 1;
        event["eventId"] = json!(id(1_000_000 + number));
        event["timestamp"] = json!(format!("2026-01-31T{:02}:{:02}:00.000Z", 13 + round / 60, round % 60));
        for field in ["orderId", "reservationId"] {
            if let Some(before) = event["payload"][field].as_str() {
                event["payload"][field] =
                    json!(id(before.parse::<Uuid>().unwrap().as_u128() + offset * 1_000));
            }
        }
        (topic, partition, event)
    };
    sound().records[2..].iter().map(renamed).collect()
}

#[test]
fn a_sound_log_is_forgotten_and_passes() {
    let mut reader = Reader::of_sound();
    reader.turn(FORGOTTEN);
    reader.forgotten.sort_unstable();
    assert_eq!(reader.forgotten, [ORDER, DECLINED]);
    assert_eq!((reader.checker.violations(), reader.checker.unaudited()), (0, 0));
    let (violations, figures) = reader.checker.finish(&reader.log.truth);
    assert_eq!(violations, []);
    assert_eq!((figures.orders, figures.acknowledged, figures.charged), (2, 2, 1));
    assert_eq!(figures.ends, [("CANCELLED".to_owned(), 1), ("CONFIRMED".to_owned(), 1)].into());
}

#[test]
fn what_is_kept_does_not_grow_but_by_a_few_bytes_for_each_order() {
    let mut reader = Reader::of_sound();
    reader.log.records[1].2["payload"]["received"] = json!(1_000_000);
    let mut sizes = Vec::new();
    for round in 0..400 {
        for record in others(round) {
            let payload = &record.2["payload"];
            if record.2["eventName"] == "PaymentProcessedEvent" {
                let order = Id(payload["orderId"].as_str().unwrap().parse().unwrap());
                reader.log.truth.charges.insert(order, Charge { transaction: "T".into(), refunds: 0 });
            }
            reader.read(&record);
        }
        reader.turn(1);
        sizes.push(format!("{:?}", reader.checker).len());
    }
    let (early, late) = (sizes[99], sizes[399]);
    // The number of an order that is over takes at most 22 characters here, and what an order is has hundreds.
    assert!(late < early + 300 * 2 * 30, "{early}, {late}");
    assert_eq!(reader.forgotten.len(), 2 + 2 * (400 - 2), "all but the newest");
}

#[test]
fn a_record_that_is_missing_is_found() {
    let mut reader = Reader::of_sound();
    reader.place("payment-events", 0);
    reader.read(&anew(sound().find("PaymentProcessedEvent")));
    assert!(reader.rules().contains(&Rule::Whole));

    let mut reader = Reader::of_sound();
    let begins = |offset| Place { topic: "user-events".to_owned(), partition: 2, offset };
    reader.checker.begins(&begins(0));
    assert_eq!(reader.checker.violations(), 0, "nothing was there");
    reader.checker.begins(&begins(7));
    assert_eq!(reader.rules(), [Rule::Whole], "and this was cut before it was read");
}

#[test]
fn an_order_that_comes_again_or_ends_again_when_it_is_forgotten_is_found() {
    for again in
        ["PlaceOrderCommand", "OrderCreatedEvent", "VirtualStockReservedEvent", "NotificationSentEvent"]
    {
        let mut reader = Reader::of_sound();
        reader.turn(FORGOTTEN);
        reader.read(&anew(sound().find(again)));
        assert_eq!(reader.checker.violations(), 1, "{again} is known of at once");
        assert_eq!(reader.rules(), [Rule::Over], "{again}");
    }
    let mut reader = Reader::of_sound();
    reader.turn(1);
    reader.read(&anew(sound().find("OrderCreatedEvent")));
    reader.turn(GIVEN_UP);
    assert_eq!(reader.rules(), [Rule::Ended], "it was not forgotten yet");
}

#[test]
fn a_charge_of_an_order_that_is_forgotten_is_found() {
    let mut reader = Reader::of_sound();
    reader.turn(FORGOTTEN);
    reader.log.truth.charges.insert(ORDER, Charge { transaction: "T2".into(), refunds: 0 });
    assert_eq!(reader.rules(), [Rule::Charged]);
}

#[test]
fn an_order_has_time_to_become_as_it_should_be() {
    let mut reader = Reader::new();
    let told = sound().records.into_iter().rfind(|(topic, ..)| *topic == "notification-events").unwrap();
    for record in sound().records.iter().filter(|record| record.2 != told.2) {
        reader.read(record);
    }
    reader.turn(FORGOTTEN * 2);
    assert_eq!(reader.forgotten, [ORDER], "the customer of the other one is to be told");
    reader.read(&told);
    reader.turn(FORGOTTEN);
    assert_eq!(reader.forgotten, [ORDER, DECLINED]);
    assert_eq!(reader.rules(), []);
}

#[test]
fn an_order_that_does_not_become_as_it_should_be_is_found_while_the_log_goes_on() {
    for (missing, rule) in [
        ("NotificationSentEvent", Rule::Ended),
        ("OrderCancelledEvent", Rule::Ended),
        ("ReservationReleasedEvent", Rule::Resolved),
        ("ReservationConfirmedEvent", Rule::Agreed),
        ("PlaceOrderCommand", Rule::Kept),
    ] {
        let mut reader = Reader::new();
        for record in sound().without(missing).records {
            reader.read(&record);
        }
        for (id, ended) in reader.log.acknowledged.clone() {
            reader.checker.acknowledge(&Acknowledged { id, ended });
        }
        reader.turn(GIVEN_UP);
        assert!(reader.checker.violations() > 0, "{missing}");
        assert!(reader.rules().contains(&rule), "{missing}");
    }
}

#[test]
fn units_that_are_lost_or_sold_twice_are_found_when_their_moves_are_forgotten() {
    let mut reader = Reader::of_sound();
    reader.turn(FORGOTTEN);
    reader.log.truth.levels.insert("P".into(), (5, 0));
    assert_eq!(reader.rules(), [Rule::Shown]);

    let mut reader = Reader::new();
    let mut log = sound();
    log.records[1].2["payload"]["received"] = json!(3);
    log.records.iter().for_each(|record| reader.read(record));
    reader.turn(FORGOTTEN);
    reader.read(&(
        "inventory-events",
        0,
        by(1, event(59, "StockDeclaredEvent", &json!({"productId": "P", "source": "api", "received": 10}))),
    ));
    reader.turn(FORGOTTEN);
    assert_eq!(reader.rules(), [Rule::NotOversold], "there were too few for a while");
}

#[test]
fn a_link_that_is_missing_or_comes_again_is_found_long_after() {
    let mut reader = Reader::of_sound();
    reader.read_unlinked(&others(1)[0]);
    reader.turn(FORGOTTEN);
    assert_eq!(reader.checker.unaudited(), 1, "it is not forgotten");
    assert!(reader.rules().contains(&Rule::Audited));

    let mut reader = Reader::of_sound();
    reader.turn(FORGOTTEN);
    let first = reader.linked[0].clone();
    reader.link(&first);
    assert_eq!(reader.checker.violations(), 1);
    assert_eq!(reader.rules(), [Rule::Audited], "linked twice");
}

#[test]
fn a_link_may_be_read_before_its_record() {
    let mut reader = Reader::of_sound();
    let record = ("user-events", 0, event(77, "UserRegisteredEvent", &json!({})));
    let place = Place { topic: "user-events".to_owned(), partition: 0, offset: 0 };
    reader.link(&place);
    reader.turn(FORGOTTEN);
    assert_eq!(reader.read_unlinked(&record), place);
    reader.turn(FORGOTTEN);
    assert_eq!(reader.rules(), []);
}
