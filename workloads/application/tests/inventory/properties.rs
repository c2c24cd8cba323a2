//! Random histories of several processes on one log.

use std::collections::{BTreeMap, BTreeSet};

use kbnt_application::{Machine, Topic};
use kbnt_domain::event::{
    Basket, Event, Line, OrderCancelRequested, PaymentFailed, PaymentMethod, PaymentProcessed, UserValidated,
};
use kbnt_domain::stock::Declaration;
use kbnt_domain::{Currency, Money, OrderId, Quantity, Reason, ReservationId, Span};
use proptest::prelude::*;
use uuid::Uuid;

use crate::lab::{Lab, PARTITIONS, Stage, TTL};

const ORDERS: u128 = 10;
const PRODUCTS: [&str; 3] = ["A", "B", "C"];
/// At most so many processes at a time.
const PROCESSES: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Validate { order: u128, lines: Vec<(usize, u64)> },
    Pay { order: u128, pays: bool },
    Cancel { order: u128 },
    Repeat { which: usize },
    Declare { process: usize, product: usize, received: u64 },
    Start { skew: u64 },
    Crash { process: usize, kept: [usize; PARTITIONS] },
    Flush { process: usize, partition: usize, records: usize },
    Follow { process: usize, partition: usize, records: usize },
    Handle { process: usize, lane: usize, records: usize },
    Tick { process: usize },
    Settle { process: usize },
    Wait { millis: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let process = 0..PROCESSES;
    let ttl = TTL.as_millis();
    let partition = 0..PARTITIONS;
    prop_oneof![
        10 => (1..=ORDERS, prop::collection::vec((0..3_usize, 1..4_u64), 1..3))
            .prop_map(|(order, lines)| Op::Validate { order, lines }),
        8 => (1..=ORDERS, prop::bool::weighted(0.6)).prop_map(|(order, pays)| Op::Pay { order, pays }),
        3 => (1..=ORDERS).prop_map(|order| Op::Cancel { order }),
        3 => any::<usize>().prop_map(|which| Op::Repeat { which }),
        4 => (process.clone(), 0..3_usize, 0..10_u64)
            .prop_map(|(process, product, received)| Op::Declare { process, product, received }),
        3 => prop_oneof![Just(0), Just(90_000), 0..2_000_u64].prop_map(|skew| Op::Start { skew }),
        2 => (process.clone(), any::<[usize; PARTITIONS]>())
            .prop_map(|(process, kept)| Op::Crash { process, kept }),
        12 => (process.clone(), partition.clone(), 1..6_usize)
            .prop_map(|(process, partition, records)| Op::Flush { process, partition, records }),
        12 => (process.clone(), partition, 1..6_usize)
            .prop_map(|(process, partition, records)| Op::Follow { process, partition, records }),
        14 => (process.clone(), 0..9_usize, 1..4_usize)
            .prop_map(|(process, lane, records)| Op::Handle { process, lane, records }),
        4 => process.clone().prop_map(|process| Op::Tick { process }),
        6 => process.prop_map(|process| Op::Settle { process }),
        4 => prop_oneof![Just(1), Just(ttl / 3), Just(ttl)].prop_map(|millis| Op::Wait { millis }),
    ]
}

fn order(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(number << 96 | 0x4000_8000_0000_0000_0000))
}

/// What the other services do, as far as inventory sees it.
#[derive(Default)]
struct Others {
    validated: BTreeSet<u128>,
    /// One outcome of the payment for each order.
    settled: BTreeMap<u128, bool>,
    cancelled: BTreeSet<u128>,
}

impl Others {
    fn validate(&mut self, lab: &mut Lab, number: u128, lines: &[(usize, u64)]) {
        if !self.validated.insert(number) {
            return;
        }
        let line = |&(product, units): &(usize, u64)| Line {
            product: PRODUCTS[product].parse().unwrap(),
            quantity: Quantity::new(units).unwrap(),
        };
        let basket = Basket {
            user: "USER-1".parse().unwrap(),
            lines: lines.iter().map(line).collect(),
            payment: PaymentMethod { method: "pix".into(), token: None },
        };
        let event = UserValidated { order: order(number), basket, placed_at: lab.now };
        lab.input(Topic::UserEvents, &format!("validated/{number}"), event);
    }

    /// Payment-service decides on a reservation that it has read.
    fn pay(&mut self, lab: &mut Lab, number: u128, pays: bool) {
        let order = order(number);
        let books = lab.books();
        let Some(hold) = books.last(order).filter(|_| !self.settled.contains_key(&number)) else { return };
        self.settled.insert(number, pays);
        let units: u64 = hold.units.values().sum();
        let amount = Money::from_minor(i64::try_from(units * 100).unwrap(), Currency::BRL).unwrap();
        let (id, reservation) = (format!("payment/{number}"), ReservationId::derive(&order, 0));
        if pays {
            let transaction = "tx".parse().unwrap();
            let event = PaymentProcessed { order, reservation, amount, transaction };
            lab.input(Topic::PaymentEvents, &id, event);
        } else {
            let event = PaymentFailed {
                order,
                reservation,
                amount,
                reason: Reason::PaymentDeclined,
                refund_due: false,
            };
            lab.input(Topic::PaymentEvents, &id, event);
        }
    }

    fn cancel(&mut self, lab: &mut Lab, number: u128) {
        if self.cancelled.insert(number) {
            let event = OrderCancelRequested { order: order(number) };
            lab.input(Topic::OrderEvents, &format!("cancel/{number}"), event);
        }
    }
}

fn lane(number: usize) -> (Topic, u32) {
    let topics = [Topic::UserEvents, Topic::PaymentEvents, Topic::OrderEvents];
    (topics[number / PARTITIONS], u32::try_from(number % PARTITIONS).unwrap())
}

fn declare(lab: &mut Lab, process: usize, product: usize, received: u64) {
    let product = PRODUCTS[product];
    let declaration = Declaration {
        product: product.parse().unwrap(),
        name: product.into(),
        unit_price: Money::from_minor(100, Currency::BRL).unwrap(),
        received,
        low_stock_threshold: None,
        source: "test".parse().unwrap(),
    };
    // A refusal is as good an answer.
    let _ = lab.call(process, |machine, outbox| machine.declare(&declaration, outbox));
}

fn run(lab: &mut Lab, others: &mut Others, op: &Op) {
    let there = |lab: &Lab, process: usize| (process < lab.processes.len()).then_some(process);
    match op {
        Op::Validate { order, lines } => others.validate(lab, *order, lines),
        Op::Pay { order, pays } => others.pay(lab, *order, *pays),
        Op::Cancel { order } => others.cancel(lab, *order),
        Op::Repeat { which } => lab.repeat(*which),
        Op::Wait { millis } => lab.now = lab.now + Span::from_millis(*millis),
        Op::Start { skew } => {
            if lab.processes.len() < PROCESSES {
                lab.start(*skew);
            }
        }
        Op::Crash { process, kept } => {
            if let Some(process) = there(lab, *process) {
                lab.crash(process, *kept);
            }
        }
        Op::Flush { process, partition, records } => {
            if let Some(process) = there(lab, *process) {
                lab.flush(process, *partition, *records);
            }
        }
        Op::Follow { process, partition, records } => {
            if let Some(process) = there(lab, *process) {
                lab.follow(process, *partition, *records);
            }
        }
        Op::Handle { process, lane: number, records } => {
            for _ in 0..*records {
                if let Some(process) = there(lab, *process) {
                    lab.handle(process, lane(*number));
                }
            }
        }
        Op::Tick { process } => {
            if let Some(process) = there(lab, *process) {
                lab.tick(process);
            }
        }
        Op::Settle { process } => {
            if let Some(process) = there(lab, *process) {
                lab.settle(process);
            }
        }
        Op::Declare { process, product, received } => {
            let active =
                there(lab, *process).filter(|&process| lab.processes[process].stage == Stage::Active);
            if let Some(process) = active {
                declare(lab, process, *product, *received);
            }
        }
    }
}

/// Whatever reaches the log and whatever does not, nothing is oversold.
fn check(lab: &mut Lab) {
    lab.books().check();
    for process in 0..lab.processes.len() {
        for kept in [[0, 0, 99], [0, 99, 0], [99, 0, 0], [99, 99, 99], [1, 2, 3], [2, 0, 1]] {
            lab.books_after(process, kept).check();
        }
        assert!(lab.processes[process].machine.verify());
    }
}

/// In the end one process is alone, and everything that was asked is answered, once.
fn conclude(lab: &mut Lab, others: &Others) {
    while !lab.processes.is_empty() {
        lab.crash(0, [usize::MAX / 2; PARTITIONS]);
    }
    let last = lab.start(0);
    lab.settle(last);
    lab.now = lab.now + TTL + Span::from_millis(90_000);
    lab.settle(last);
    assert_eq!(lab.processes[last].stage, Stage::Active);
    assert!(lab.processes[last].is_idle());
    assert_eq!(lab.processes[last].machine.next_tick(), None);

    let books = lab.books();
    assert!(books.holds.values().all(|hold| hold.end.is_some()));
    for &number in &others.validated {
        let answers = books.answers.get(&order(number)).map_or(0, Vec::len);
        assert_eq!(answers, 1, "order {number}: {:?}", books.answers.get(&order(number)));
    }
    for (&number, &pays) in &others.settled {
        let paid = books.paid.get(&order(number)).map_or(0, Vec::len);
        assert_eq!(paid, usize::from(pays), "order {number}: {:?}", books.paid.get(&order(number)));
    }
    for level in lab.processes[last].machine.levels() {
        let product = level.product.as_str();
        assert_eq!(i64::try_from(level.level.real).unwrap(), books.real(product));
        assert_eq!((level.level.reserved, books.reserved(product)), (0, 0));
        let alerts = lab.effective();
        let alerts = alerts.iter().filter(|record| match record.message.event.business() {
            Some(Event::LowStock(low)) => low.product == level.product,
            _ => false,
        });
        assert!(!level.low_stock || alerts.count() > 0);
    }
}

/// As many cases as a test run can afford, or as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1_000;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_is_oversold_and_every_question_is_answered_once(ops in prop::collection::vec(op(), 1..120)) {
        let (mut lab, mut others) = (Lab::new(), Others::default());
        let first = lab.start(0);
        lab.settle(first);
        for product in 0..PRODUCTS.len() {
            declare(&mut lab, first, product, 5);
        }
        for op in &ops {
            run(&mut lab, &mut others, op);
            check(&mut lab);
        }
        conclude(&mut lab, &others);
    }
}
