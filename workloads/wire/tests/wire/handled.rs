//! Whatever can be read is handled by every machine, and what that writes can be written and read again, and is no larger than a log
//! takes. A record for which this does not hold would stop its service at every start.

use kbnt_application::RecordedEvent;
use kbnt_application::audit::AuditMachine;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::message::{Classification, Topic, home_of};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::{Fetched, RawRecord};
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{
    Append, Delivered, Effect, EffectOutcome, Imaged, Machine, NotificationOutcome, Outbox, PaymentOutcome,
    PaymentRequest, Position, Route, Service, SoleWriter,
};
use kbnt_domain::stock::{Declaration, UNITS_MOST};
use kbnt_domain::{Currency, Money, OrderId, ReservationId, Span, Timestamp};
use kbnt_wire::{self as wire, RecordView};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::events::{event, message};

/// What a broker takes by default.
const RECORD_MOST: usize = 1 << 20;

/// What another program may put in the place of an instant.
const INSTANTS: [&str; 9] = [
    "0000-01-01T00:00:00Z",
    "0000-01-01T00:00:00+03:00",
    "1969-12-31T23:59:59.999Z",
    "2026-01-31T12:00:00.000Z",
    "2026-06-30T23:59:60Z",
    "9999-12-31T23:59:59.999Z",
    "9999-12-31T23:59:60.999Z",
    "9999-12-31T23:59:59-03:00",
    "10000-01-01T00:00:00Z",
];

/// And in the place of an amount.
const AMOUNTS: [&str; 5] = ["0", "0.01", "599.99", "92233720368547758.07", "92233720368547758.08"];

/// The log's own times of a record.
const TIMES: [i64; 7] =
    [0, -1, 1_769_860_800_000, 1_769_860_800_000_000, i64::MIN, i64::MAX, 253_402_300_799_999];

/// What a service's clock may say.
const CLOCKS: [i64; 5] =
    [-62_167_219_200_000, 0, 1_769_860_800_000, 253_402_300_799_000, 253_402_300_799_999];

fn order(n: u8) -> OrderId {
    OrderId::from_uuid(uuid::Uuid::from_u128(u128::from(n)))
}

/// How a record is made a stranger one.
#[derive(Clone, Debug)]
struct Twist {
    /// Which order it is about, of few, so that records of one order meet.
    order: Option<u8>,
    product: Option<bool>,
    instants: Option<usize>,
    amounts: Option<usize>,
    /// Texts are that long.
    long: Option<usize>,
    /// The log's time; with it the record has none of its own.
    time: Option<usize>,
    source: Option<Position>,
}

fn twist() -> impl Strategy<Value = Twist> {
    let source = (
        prop::sample::select(Topic::ALL.to_vec()),
        0..4_u32,
        prop_oneof![0..9_u64, any::<u64>(), Just(u64::MAX)],
    )
        .prop_map(|(topic, partition, offset)| Position { topic, partition, offset });
    (
        prop::option::weighted(0.8, 0..3_u8),
        prop::option::weighted(0.8, any::<bool>()),
        prop::option::of(0..INSTANTS.len()),
        prop::option::of(0..AMOUNTS.len()),
        prop::option::weighted(0.1, prop::sample::select(vec![1_000_usize, 16_000, 200_000])),
        prop::option::weighted(0.2, 0..TIMES.len()),
        prop::option::of(source),
    )
        .prop_map(|(order, product, instants, amounts, long, time, source)| Twist {
            order,
            product,
            instants,
            amounts,
            long,
            time,
            source,
        })
}

impl Twist {
    /// `json` made stranger, whatever it stands for.
    fn apply(&self, json: &mut Value) {
        match json {
            Value::Array(items) => items.iter_mut().for_each(|item| self.apply(item)),
            Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| self.apply_to(name, value)),
            _ => {}
        }
    }

    fn apply_to(&self, name: &str, value: &mut Value) {
        let known = |yes: &str, no: &str| self.product.map(|known| json!(if known { yes } else { no }));
        let other = match name {
            "orderId" => self.order.map(|n| json!(order(n).to_string())),
            "reservationId" if value.is_string() => self.order.map(|n| json!(reserved(n).to_string())),
            "productId" => known("PROD-1", "PROD-2"),
            "userId" => known("ana", "bob"),
            "timestamp" | "placedAt" | "expiresAt" | "recordedAt" => {
                self.instants.map(|n| json!(INSTANTS[n]))
            }
            "amount" | "unitPrice" => self.amounts.map(|n| json!({"value": AMOUNTS[n], "currency": "BRL"})),
            "method" | "token" | "name" | "email" | "detail" | "template" => {
                self.long.map(|length| json!("\u{1}".repeat(length)))
            }
            _ => return self.apply(value),
        };
        if let Some(other) = other {
            *value = other;
        }
    }
}

fn reserved(n: u8) -> ReservationId {
    ReservationId::derive(&order(n), 0)
}

/// A record as another program might write it, in the place where it belongs.
fn record() -> impl Strategy<Value = Fetched> {
    (message(), event(), any::<bool>(), twist(), 0..100_u64).prop_map(
        |(message, event, whole, twist, offset)| {
            // Half of them carry nothing but what they must.
            let message =
                if whole { message } else { kbnt_application::message::Message { event, ..message } };
            let class = Classification::of(&message.event);
            let append = Append { message: message.into(), route: Route::Partition(0), source: twist.source };
            let mut record = wire::encode(&append).unwrap();
            let mut value: Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
            twist.apply(&mut value);
            if let Some(time) = twist.time {
                value.as_object_mut().unwrap().remove("timestamp");
                record.at = Timestamp::from_millis(TIMES[time]);
            }
            record.value = Some(value.to_string().into_bytes());
            at_home(class.topic(), offset, record)
        },
    )
}

/// As a reader of the partition finds it where it belongs.
fn at_home(topic: Topic, offset: u64, record: RawRecord) -> Fetched {
    let at = Position { topic, partition: 0, offset };
    let read = wire::decode(at, &RecordView::of(&record));
    let home = read.ok().and_then(|read| home_of(&read.message.event)).unwrap_or(0);
    wire::fetched(Position { partition: home, ..at }, record, wire::Bytes::Left)
}

fn inventory(now: Timestamp, ttl: Span, price: i64, received: u64) -> InventoryMachine {
    let mut machine = InventoryMachine::new(InventoryConfig { ttl, ..InventoryConfig::new("w") });
    let mut outbox = Outbox::new(Service::Inventory, now);
    (0..3).for_each(|partition| machine.assigned(partition));
    machine.elect(&mut outbox);
    (0..3).for_each(|partition| machine.recovered(partition, &mut outbox));
    let declaration = Declaration {
        product: "PROD-1".parse().unwrap(),
        name: "Product".into(),
        unit_price: Money::from_minor(price, Currency::BRL).unwrap(),
        received,
        low_stock_threshold: None,
        source: "shop".parse().unwrap(),
    };
    machine.declare(&declaration, &mut outbox).unwrap();
    // What it wrote counts only once it is read back.
    for (offset, append) in (0..).zip(outbox.take().0) {
        let at = Position { topic: Topic::InventoryEvents, partition: 0, offset };
        machine.follow(&Delivered { at, message: append.message, source: None, raw: None });
    }
    machine
}

/// What may come of an effect.
fn outcomes(effect: &Effect) -> Vec<EffectOutcome> {
    let detail = || "d".to_owned();
    match effect {
        Effect::Payment(PaymentRequest::Refund { .. }) => {
            vec![PaymentOutcome::NotRefunded { detail: detail() }.into(), PaymentOutcome::Refunded.into()]
        }
        Effect::Payment(_) => vec![
            PaymentOutcome::Charged { transaction: "tx-1".parse().unwrap() }.into(),
            PaymentOutcome::ChargedUnnamed { detail: detail() }.into(),
            PaymentOutcome::Declined.into(),
            PaymentOutcome::NotCharged { detail: detail() }.into(),
            PaymentOutcome::Unknown { detail: detail() }.into(),
            PaymentOutcome::Senseless { detail: detail() }.into(),
            PaymentOutcome::Closed.into(),
        ],
        Effect::Notification(_) => vec![
            NotificationOutcome::NotNotified { channel: "log", detail: detail(), retry: true }.into(),
            NotificationOutcome::Notified { channel: "log" }.into(),
        ],
    }
}

/// A machine at work: all that it has written can be written.
struct Work<M> {
    machine: Box<M>,
    now: Timestamp,
    pick: usize,
    written: usize,
}

impl<M: Machine> Work<M> {
    /// Steps the machine, and lets what it sets off end.
    fn step(&mut self, step: impl FnOnce(&mut M, &mut Outbox)) -> Result<(), TestCaseError> {
        let mut under_way = self.write(step)?;
        // Attempts without end are ended by the clock, which stands still here.
        for _ in 0..20 {
            let Some(effect) = under_way.pop() else { break };
            let outcomes = outcomes(&effect);
            self.pick = self.pick.wrapping_mul(31).wrapping_add(7);
            let outcome = outcomes[self.pick % outcomes.len()].clone();
            under_way
                .extend(self.write(|machine, outbox| machine.completed(effect.order(), outcome, outbox))?);
        }
        Ok(())
    }

    /// One step, and what it sets off.
    fn write(&mut self, step: impl FnOnce(&mut M, &mut Outbox)) -> Result<Vec<Effect>, TestCaseError> {
        let mut outbox = Outbox::new(self.machine.service(), self.now);
        step(&mut self.machine, &mut outbox);
        let (appends, effects) = outbox.take();
        appends.iter().try_for_each(|append| self.can_be_written(append))?;
        Ok(effects)
    }

    /// `append` can be written, and what is read then is the same.
    fn can_be_written(&mut self, append: &Append) -> Result<(), TestCaseError> {
        self.written += 1;
        let record = wire::encode(append).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let is_letter = matches!(append.message.event, RecordedEvent::DeadLetterStored(_));
        prop_assert!(record.size() < RECORD_MOST || is_letter, "{} bytes", record.size());
        let (topic, partition) = append.place();
        let read = wire::read(Position { topic, partition, offset: 0 }, &RecordView::of(&record));
        let read = read.map_err(|error| TestCaseError::fail(format!("{error}: {append:?}")))?;
        prop_assert_eq!((&read.message, read.source), (&append.message, append.source));
        Ok(())
    }

    /// It takes up its own records, and then its inputs.
    fn goes_through(&mut self, records: &[Fetched]) -> Result<(), TestCaseError> {
        (0..3).for_each(|partition| self.machine.assigned(partition));
        let service = self.machine.service();
        for fetched in records {
            if let Fetched::Record(record) = fetched
                && record.at.topic == service.output()
            {
                self.machine.fold(record);
            }
        }
        self.step(|machine, outbox| {
            if let Some(writer) = machine.sole_writer() {
                writer.elect(outbox);
            }
        })?;
        (0..3).try_for_each(|partition| self.step(|machine, outbox| machine.recovered(partition, outbox)))?;
        for fetched in records {
            let is_input = service.inputs().contains(&fetched.at().topic);
            match fetched {
                Fetched::Record(record) if is_input => {
                    self.step(|machine, outbox| machine.handle(record, outbox))?;
                }
                Fetched::Record(record) if record.at.topic == service.output() => self.machine.follow(record),
                Fetched::Unreadable(record) if is_input => {
                    self.step(|machine, outbox| {
                        if let Some(auditor) = machine.auditor() {
                            auditor.unreadable(record, outbox);
                        }
                    })?;
                }
                Fetched::Record(_) | Fetched::Unreadable(_) => {}
            }
            self.step(Machine::tick)?;
        }
        let _ = self.machine.next_tick();
        let _ = self.machine.sole_writer().map(|writer| writer.resume());
        let _ = self.machine.imaged().and_then(|machine| machine.image());
        Ok(())
    }
}

fn takes_in<M: Machine>(
    machine: Box<M>,
    records: &[Fetched],
    now: Timestamp,
    pick: usize,
) -> Result<(), TestCaseError> {
    let mut work = Work { machine, now, pick, written: 0 };
    work.goes_through(records)?;
    if work.machine.service() == Service::Audit {
        let inputs = |fetched: &&Fetched| Service::Audit.inputs().contains(&fetched.at().topic);
        let audited: std::collections::BTreeSet<_> = records.iter().filter(inputs).map(Fetched::at).collect();
        prop_assert!(work.written > 0 || audited.is_empty(), "each of them is linked");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_can_be_read_is_handled_and_what_comes_of_it_can_be_written(
        records in prop::collection::vec(record(), 1..8),
        now in prop::sample::select(CLOCKS.to_vec()),
        ttl in prop::sample::select(vec![0, 900_000, u64::MAX]),
        price in prop::sample::select(vec![0, 59_999, i64::MAX]),
        received in prop::sample::select(vec![0, 100, UNITS_MOST]),
        pick in any::<usize>(),
    ) {
        let now = Timestamp::from_millis(now);
        let ttl = Span::from_millis(ttl);
        let users = UserConfig { allow_unknown: true, ..UserConfig::default() };
        let another = InventoryConfig { ttl, ..InventoryConfig::new("another") };
        takes_in(Box::new(UserMachine::new(users)), &records, now, pick)?;
        takes_in(Box::new(inventory(now, ttl, price, received)), &records, now, pick)?;
        takes_in(Box::new(InventoryMachine::new(another)), &records, now, pick)?;
        takes_in(Box::new(PaymentMachine::new()), &records, now, pick)?;
        takes_in(Box::new(OrderMachine::new()), &records, now, pick)?;
        takes_in(Box::new(NotificationMachine::new()), &records, now, pick)?;
        takes_in(Box::new(AuditMachine::new()), &records, now, pick)?;
    }
}
