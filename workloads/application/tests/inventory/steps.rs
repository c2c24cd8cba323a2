//! What the machine does with its inputs, case by case.

use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::message::partition_of;
use kbnt_application::{Delivered, Imaged, Machine, Outbox, Service, SoleWriter, Topic};
use kbnt_domain::event::{
    Basket, Event, Line, OrderCancelRequested, PaymentFailed, PaymentMethod, PaymentProcessed, UserRejected,
    UserValidated,
};
use kbnt_domain::stock::Declaration;
use kbnt_domain::{Currency, Money, OrderId, Quantity, Reason, ReservationId, Span, Timestamp};
use uuid::Uuid;

use crate::lab::{Lab, TTL};

pub(crate) fn order(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(number << 96 | 0x4000_8000_0000_0000_0000))
}

pub(crate) fn declaration(product: &str, received: u64) -> Declaration {
    Declaration {
        product: product.parse().unwrap(),
        name: product.into(),
        unit_price: Money::from_minor(100, Currency::BRL).unwrap(),
        received,
        low_stock_threshold: Some(0),
        source: "test".parse().unwrap(),
    }
}

pub(crate) fn validated(lab: &Lab, number: u128, lines: &[(&str, u64)]) -> Event {
    let line = |&(product, units): &(&str, u64)| Line {
        product: product.parse().unwrap(),
        quantity: Quantity::new(units).unwrap(),
    };
    let basket = Basket {
        user: "USER-1".parse().unwrap(),
        lines: lines.iter().map(line).collect(),
        payment: PaymentMethod { method: "pix".into(), token: Some("tok_ok".into()) },
    };
    UserValidated { order: order(number), basket, placed_at: lab.now }.into()
}

fn paid(number: u128, cents: i64) -> Event {
    let (order, amount) = (order(number), Money::from_minor(cents, Currency::BRL).unwrap());
    let reservation = ReservationId::derive(&order, 0);
    PaymentProcessed { order, reservation, amount, transaction: "tx".parse().unwrap() }.into()
}

fn declined(number: u128) -> Event {
    let (order, amount) = (order(number), Money::from_minor(100, Currency::BRL).unwrap());
    let reservation = ReservationId::derive(&order, 0);
    PaymentFailed { order, reservation, amount, reason: Reason::PaymentDeclined, refund_due: false }.into()
}

/// A process that decides, over these units of product A.
fn open(units: u64) -> Lab {
    let mut lab = Lab::new();
    let process = lab.start(0);
    lab.settle(process);
    lab.call(process, |machine, outbox| machine.declare(&declaration("A", units), outbox)).unwrap();
    lab.settle(process);
    lab
}

fn names(records: &[Delivered]) -> Vec<&'static str> {
    records
        .iter()
        .map(|record| kbnt_application::message::Classification::of(&record.message.event).name)
        .collect()
}

/// What was written about an order, in order.
fn about(lab: &Lab, number: u128) -> Vec<Delivered> {
    let of = |record: &Delivered| {
        kbnt_application::message::Subject::of(&record.message.event).key() == Some(order(number).to_string())
    };
    lab.effective().into_iter().filter(of).collect()
}

#[test]
fn answers_name_their_cause_their_source_and_their_writer() {
    let mut lab = open(5);
    let asked = lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 2)]));
    lab.settle(0);
    let paid = lab.input(Topic::PaymentEvents, "paid", paid(1, 200));
    lab.settle(0);
    let records = about(&lab, 1);
    assert_eq!(names(&records), ["VirtualStockReservedEvent", "ReservationConfirmedEvent"]);
    assert_eq!((records[0].source, records[1].source), (Some(asked), Some(paid)));
    for record in &records {
        assert_eq!(record.message.writer.as_deref(), lab.processes[0].machine.writer());
        assert!(record.message.cause.is_some());
    }
    let level = lab.processes[0].machine.level(&"A".parse().unwrap()).unwrap().level;
    assert_eq!((level.real, level.reserved), (3, 0));
}

#[test]
fn a_request_waits_for_units_in_flight_and_what_comes_after_it_waits_behind() {
    let mut lab = open(1);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    lab.input(Topic::PaymentEvents, "declined", declined(1));
    let lane = |topic, number| (topic, partition_of(order(number).to_string(), 3));
    lab.handle(0, lane(Topic::PaymentEvents, 1));
    let second = lab.input(Topic::UserEvents, "2", validated(&lab, 2, &[("A", 1)]));
    let third = lab.input(Topic::UserEvents, "3", validated(&lab, 3, &[("A", 9)]));
    let waits = (second.topic, second.partition);
    while lab.processes[0].machine.hold(waits.0, waits.1).is_none() {
        lab.handle(0, waits);
    }
    lab.handle(0, (third.topic, third.partition));
    let machine = &lab.processes[0].machine;
    assert_eq!(machine.hold(second.topic, second.partition), Some(second.offset));
    assert_eq!(machine.counts().waits, 1);
    assert_eq!(machine.next_tick(), None);
    // Acknowledged, but not read back.
    for p in 0..3 {
        lab.flush(0, p, usize::MAX);
    }
    lab.tick(0);
    assert!(about(&lab, 2).is_empty() && about(&lab, 3).is_empty());
    for p in 0..3 {
        lab.follow(0, p, 99);
    }
    assert_eq!(lab.processes[0].machine.next_tick(), Some(Timestamp::MIN));
    lab.settle(0);
    assert_eq!(names(&about(&lab, 2)), ["VirtualStockReservedEvent"]);
    assert_eq!(names(&about(&lab, 3)), ["InsufficientStockEvent"]);
    assert_eq!(lab.processes[0].machine.hold(second.topic, second.partition), None);
}

#[test]
fn only_the_record_that_tells_of_freed_units_makes_them_safe() {
    let lane = |topic, number| (topic, partition_of(order(number).to_string(), 3));
    let elsewhere =
        (2..99).find(|&number| lane(Topic::UserEvents, number) != lane(Topic::UserEvents, 1)).unwrap();
    let mut lab = open(1);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    lab.input(Topic::PaymentEvents, "declined", declined(1));
    lab.handle(0, lane(Topic::PaymentEvents, 1));
    // Another record of the same writer is read back, from another partition; that of the release is not.
    lab.input(Topic::UserEvents, "other", validated(&lab, elsewhere, &[("NOBODYS", 1)]));
    let (topic, partition) = lane(Topic::UserEvents, elsewhere);
    lab.handle(0, (topic, partition));
    lab.flush(0, partition as usize, usize::MAX);
    lab.follow(0, partition as usize, 99);
    assert_eq!(names(&about(&lab, elsewhere)), ["ProductNotFoundEvent"]);
    let asked = lab.input(Topic::UserEvents, "late", validated(&lab, 100, &[("A", 1)]));
    lab.handle(0, (asked.topic, asked.partition));
    assert_eq!(lab.processes[0].machine.hold(asked.topic, asked.partition), Some(asked.offset));
    lab.settle(0);
    assert_eq!(names(&about(&lab, 100)), ["VirtualStockReservedEvent"]);
}

#[test]
fn an_expiry_answers_nothing_and_marks_no_input_as_answered() {
    let mut lab = open(1);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    lab.now = lab.now + TTL;
    let asked = lab.input(Topic::UserEvents, "2", validated(&lab, 2, &[("A", 1)]));
    while lab.processes[0].machine.hold(asked.topic, asked.partition).is_none() {
        lab.handle(0, (asked.topic, asked.partition));
    }
    lab.settle(0);
    let expired = about(&lab, 1).pop().unwrap();
    assert!(matches!(expired.message.event.business(), Some(Event::ReservationExpired(_))));
    assert_eq!((expired.source, expired.message.cause), (None, None));
    assert_eq!(names(&about(&lab, 2)), ["VirtualStockReservedEvent"]);
}

#[test]
fn the_deadline_is_kept_without_any_input() {
    let mut lab = open(1);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    let deadline = lab.now + TTL;
    assert_eq!(lab.processes[0].machine.next_tick(), Some(deadline));
    lab.now = deadline;
    lab.settle(0);
    let records = about(&lab, 1);
    let Some(Event::ReservationExpired(expired)) = records[1].message.event.business() else { panic!() };
    assert_eq!((expired.deadline, records[1].message.at), (deadline, deadline));
    assert_eq!(lab.processes[0].machine.next_tick(), None);
}

#[test]
fn a_restart_goes_on_at_the_last_answered_input_and_makes_good_half_an_answer() {
    let mut lab = open(2);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    lab.now = lab.now + TTL;
    lab.settle(0);
    // A late payment: reserved again and confirmed. The crash keeps the first record only.
    let paid = lab.input(Topic::PaymentEvents, "paid", paid(1, 100));
    lab.handle(0, (paid.topic, paid.partition));
    let mut kept = [0; 3];
    kept[paid.partition as usize] = 1;
    lab.crash(0, kept);
    assert_eq!(lab.books().reserved("A"), 1);
    let process = lab.start(0);
    for p in 0..3 {
        lab.flush(process, p, 1);
        lab.follow(process, p, 1);
    }
    let resumed = lab.processes[process].machine.resume();
    assert!(
        resumed.iter().all(|at| at.topic == Topic::OrderEvents),
        "payments are read again from the first: {resumed:?}"
    );
    lab.settle(process);
    let tail = names(&about(&lab, 1)).split_off(2);
    assert_eq!(tail, ["VirtualStockReservedEvent", "ReservationConfirmedEvent"]);
}

#[test]
fn what_was_answered_and_is_forgotten_is_not_answered_again() {
    let mut lab = open(2);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    lab.input(Topic::PaymentEvents, "paid", paid(1, 100));
    lab.settle(0);
    lab.input(Topic::OrderEvents, "cancel", OrderCancelRequested { order: order(1) });
    lab.settle(0);
    lab.now = lab.now + Span::from_minutes(26 * 60);
    lab.call(0, InventoryMachine::tick);
    let lanes: Vec<_> = lab.inputs.keys().copied().collect();
    // The offsets are reset to zero.
    for lane in lanes {
        let record = lab.inputs[&lane][0].clone();
        lab.call(0, |machine, outbox| machine.handle(&record, outbox));
    }
    lab.settle(0);
    assert_eq!(names(&about(&lab, 1)), ["VirtualStockReservedEvent", "ReservationConfirmedEvent"]);
    assert_eq!(lab.processes[0].machine.counts().stale, 3);
}

#[test]
fn repetitions_and_conflicts_are_counted() {
    let mut lab = open(5);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.input(Topic::UserEvents, "other", validated(&lab, 1, &[("A", 2)]));
    lab.settle(0);
    let counts = lab.processes[0].machine.counts();
    assert_eq!((counts.repeated, counts.conflicts), (1, 1));
    assert_eq!(about(&lab, 1).len(), 1);
}

#[test]
fn the_summary_shows_all_and_its_version_tells_changes() {
    let mut lab = open(5);
    let machine = &lab.processes[0].machine;
    let (version, summary) = (machine.version(), machine.summary());
    assert_eq!((version, version.term), (summary.version, 1));
    assert_eq!((summary.totals.real, summary.totals.products, machine.levels().len()), (5, 1, 1));
    assert!(summary.violations.is_empty());
    lab.settle(0);
    assert_eq!(lab.processes[0].machine.version(), version);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    let summary = lab.processes[0].machine.summary();
    assert_ne!(summary.version, version);
    assert_eq!((summary.totals.reserved, summary.totals.active_reservations), (1, 1));
    assert!(summary.version.to_string().starts_with("1-"));
}

#[test]
fn a_machine_that_lost_a_partition_starts_over() {
    let mut machine = InventoryMachine::new(InventoryConfig::new("w"));
    let lab = open(5);
    for record in lab.effective() {
        machine.fold(&record);
    }
    assert_eq!(machine.levels().len(), 1);
    machine.revoked(1);
    assert!(machine.levels().is_empty());
}

#[test]
fn a_payment_that_is_read_again_while_its_order_is_being_forgotten_is_not_undone() {
    let mut lab = open(100);
    for number in 1..=60 {
        lab.input(Topic::UserEvents, &format!("{number}"), validated(&lab, number, &[("A", 1)]));
        lab.settle(0);
        lab.input(Topic::PaymentEvents, &format!("{number} paid"), paid(number, 100));
        lab.settle(0);
    }
    lab.crash(0, [0; 3]);
    // The next writer begins when all of them are older than the window. It forgets a few in each step, and reads all payments again.
    lab.now = lab.now + Span::from_minutes(26 * 60);
    lab.start(0);
    for p in 0..3 {
        lab.flush(0, p, usize::MAX);
        lab.follow(0, p, usize::MAX / 2);
    }
    for lane in lab.inputs.keys().copied().filter(|lane| lane.0 == Topic::PaymentEvents).collect::<Vec<_>>() {
        for _ in 0..lab.inputs[&lane].len() {
            lab.now = lab.now + Span::from_millis(1);
            lab.handle(0, lane);
        }
    }
    lab.settle(0);
    for number in 1..=60 {
        assert_eq!(names(&about(&lab, number)), ["VirtualStockReservedEvent", "ReservationConfirmedEvent"]);
    }
}

#[test]
fn a_payment_that_is_read_again_is_not_undone_because_its_forgotten_order_was_asked_for_once_more() {
    let mut lab = open(5);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    lab.input(Topic::PaymentEvents, "paid", paid(1, 100));
    lab.settle(0);
    lab.crash(0, [0; 3]);
    lab.now = lab.now + Span::from_minutes(26 * 60);
    let (user, reason) = ("USER-1".parse().unwrap(), Reason::StaleCommand);
    let rejected = UserRejected { order: order(1), user, reason, repeated: true };
    let again = lab.input(Topic::UserEvents, "again", Event::from(rejected));
    lab.start(0);
    for p in 0..3 {
        lab.flush(0, p, usize::MAX);
        lab.follow(0, p, usize::MAX / 2);
    }
    // What users say is read before what is paid.
    lab.handle(0, (again.topic, again.partition));
    lab.handle(0, (again.topic, again.partition));
    lab.settle(0);
    assert_eq!(names(&about(&lab, 1)), ["VirtualStockReservedEvent", "ReservationConfirmedEvent"]);
}

#[test]
fn an_order_whose_user_was_rejected_is_refused_though_another_process_lets_the_user_pass() {
    let mut lab = open(5);
    let (user, reason) = ("USER-1".parse().unwrap(), Reason::UserBlocked);
    let rejected = UserRejected { order: order(1), user, reason, repeated: false };
    lab.input(Topic::UserEvents, "no", Event::from(rejected));
    lab.settle(0);
    lab.input(Topic::UserEvents, "yes", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    assert!(!names(&about(&lab, 1)).contains(&"VirtualStockReservedEvent"), "{:?}", names(&about(&lab, 1)));
}

/// What a start without a snapshot makes of a record that came again long before it and was answered with silence then.
#[track_caller]
fn is_not_answered_again(topic: Topic, again: impl FnOnce(&Lab) -> Event) {
    let mut lab = open(5);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    lab.input(Topic::PaymentEvents, "paid", paid(1, 100));
    lab.settle(0);
    lab.now = lab.now + Span::from_minutes(3 * 60);
    let event = again(&lab);
    lab.input(topic, "again", event);
    lab.settle(0);
    let before = names(&about(&lab, 1));
    lab.crash(0, [0; 3]);
    // The order is forgotten, but not all that came after its end is older than the window.
    lab.now = lab.now + Span::from_minutes(23 * 60);
    lab.start(0);
    lab.settle(0);
    assert_eq!(names(&about(&lab, 1)), before);
}

#[test]
fn a_second_payment_of_a_confirmed_order_is_not_refunded_after_a_restart() {
    is_not_answered_again(Topic::PaymentEvents, |_| paid(1, 100));
}

#[test]
fn a_declined_payment_of_a_confirmed_order_releases_nothing_after_a_restart() {
    is_not_answered_again(Topic::PaymentEvents, |_| declined(1));
}

#[test]
fn a_repeated_request_is_not_reserved_anew_after_a_restart() {
    is_not_answered_again(Topic::UserEvents, |lab| validated(lab, 1, &[("A", 1)]));
}

#[test]
fn another_request_under_the_same_id_is_not_reserved_after_a_restart() {
    is_not_answered_again(Topic::UserEvents, |lab| validated(lab, 1, &[("A", 2)]));
}

#[test]
fn a_confirmed_order_is_not_cancelled_after_a_restart_by_a_wish_that_came_too_late() {
    is_not_answered_again(Topic::OrderEvents, |_| OrderCancelRequested { order: order(1) }.into());
}

#[test]
fn a_payment_that_a_snapshot_had_not_come_to_again_is_not_undone() {
    let mut lab = open(5);
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(0);
    let at = lab.input(Topic::PaymentEvents, "paid", paid(1, 100));
    lab.settle(0);
    lab.crash(0, [0; 3]);
    // The next writer folds the log, and its state is copied before it has read the payments again.
    lab.start(0);
    for p in 0..3 {
        lab.flush(0, p, usize::MAX);
        lab.follow(0, p, usize::MAX / 2);
    }
    let image = lab.processes[0].machine.image().unwrap();
    // A later one begins with that when the order is older than the window.
    let mut machine = InventoryMachine::new(InventoryConfig::new("restored"));
    machine.restore(image).unwrap();
    let later = lab.now + Span::from_minutes(26 * 60);
    machine.set_clock(later);
    let mut outbox = Outbox::new(Service::Inventory, later);
    machine.elect(&mut outbox);
    for partition in 0..3 {
        machine.recovered(partition, &mut outbox);
    }
    outbox.take();
    let payment = lab.inputs[&(at.topic, at.partition)][0].clone();
    machine.handle(&payment, &mut outbox);
    assert!(outbox.take().0.is_empty());
    assert_eq!(machine.counts().stale, 1);
}
