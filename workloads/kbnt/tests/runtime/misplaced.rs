//! Records that other programs put into the wrong partition: each becomes a dead letter, without effects on
//! others.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kbnt_application::audit::AuditMachine;
use kbnt_application::event::Writer;
use kbnt_application::message::home_of;
use kbnt_application::ports::{EventLog as _, RawRecord};
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Append, Position, Topic};
use kbnt_domain::event::{NotificationSent, PaymentProcessed, UserRejected, VirtualStockReserved};
use kbnt_domain::{Currency, Event, Money, OrderId, Reason, ReservationId, Timestamp};
use kbnt_embedded::EmbeddedLog;
use kbnt_wire as wire;
use kbnt_wire::raw::{RawAppend, RawLog};

use crate::support::outside::Running;
use kbnt_testkit::trail::{assert_whole, trail};
use kbnt_testkit::{append, eventually, order, orders_in, placed};

fn partition(append: &Append) -> u32 {
    home_of(&append.message.event).unwrap()
}

/// The number of the `n`-th order whose id maps to partition `of`.
fn nth_of(of: u32, n: usize) -> u32 {
    (0..).filter(|n| partition(&placed(*n)) == of).nth(n).unwrap()
}

/// Writes the record of `append` to this partition, under any key.
async fn stray(log: &EmbeddedLog, append: &Append, to: u32, key: Option<&str>) -> (Position, RawRecord) {
    let key = key.map(|key| key.as_bytes().to_vec());
    let record = RawRecord { key, ..wire::encode(append).unwrap() };
    let topic = kbnt_application::message::Classification::of(&append.message.event).topic();
    let written = log.append_raw(vec![RawAppend { topic, to: Some(to), record: record.clone() }]).await;
    (written.unwrap()[0], record)
}

fn user_service() -> UserMachine {
    UserMachine::new(UserConfig { allow_unknown: true, ..UserConfig::default() })
}

/// Checks that user-service answers exactly these orders, each once.
async fn answers(log: &EmbeddedLog, orders: &BTreeSet<OrderId>) {
    eventually("all are answered", || async {
        orders_in(log, Topic::UserEvents).await.len() >= orders.len()
    })
    .await;
    let answered = orders_in(log, Topic::UserEvents).await;
    assert!(answered.keys().eq(orders) && answered.values().all(|count| *count == 1), "{answered:?}");
}

/// A log with orders of partition 1 and others, and one of partition 1 behind forty others of partition 0.
async fn shop(directory: &Path) -> (EmbeddedLog, BTreeSet<OrderId>, (Position, RawRecord)) {
    let log = EmbeddedLog::open(directory).unwrap();
    let good: Vec<u32> = (0..40).map(|n| nth_of(0, n)).collect();
    log.append(good.iter().map(|n| placed(*n)).collect()).await.unwrap();
    let misplaced = stray(&log, &placed(nth_of(1, 0)), 0, None).await;
    (log, good.into_iter().map(order).collect(), misplaced)
}

#[tokio::test]
async fn an_order_in_another_partition_is_a_dead_letter_and_those_of_its_own_partition_are_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (log, mut orders, (at, record)) = shop(directory.path()).await;
    let audit = Running::start(AuditMachine::new(), Arc::new(log.clone()));
    for round in 0..3 {
        let users = Running::start(user_service(), Arc::new(log.clone()));
        answers(&log, &orders).await;
        // Far below the offset of the misplaced record in its partition.
        let more: Vec<u32> = (1..5).map(|n| nth_of(1, 5 * round + n)).collect();
        log.append(more.iter().map(|n| placed(*n)).collect()).await.unwrap();
        orders.extend(more.into_iter().map(order));
        answers(&log, &orders).await;
        assert_eq!(users.observed.unreadable.lock().unwrap().len(), usize::from(round == 0));
        users.stop().await.unwrap();
    }
    eventually("it is kept", || async { trail(&log).await.letters.contains_key(&at) }).await;
    let dead_letters = trail(&log).await.letters;
    assert!(dead_letters.keys().eq([&at]));
    assert_eq!(dead_letters[&at].reason, "lies in partition 0, its key belongs to partition 1");
    assert_whole("misplaced", &dead_letters[&at], &record);
    audit.stop().await.unwrap();
}

/// A record of each topic, about `order`.
fn of_each_topic(order: OrderId) -> Vec<Append> {
    let (user, reservation) = ("USER-1".parse().unwrap(), ReservationId::derive(&order, 0));
    let amount = Money::from_minor(1, Currency::BRL).unwrap();
    let reserved = VirtualStockReserved {
        order,
        reservation,
        user,
        attempt: 0,
        lines: Vec::new(),
        amount,
        payment: None,
        expires_at: Timestamp::LAST,
        fingerprint: 0,
    };
    let user = reserved.user.clone();
    let (channel, template) = ("log".to_owned(), "order-confirmed".to_owned());
    let events: [Event; 4] = [
        UserRejected { order, user: user.clone(), reason: Reason::UserBlocked, repeated: false }.into(),
        reserved.into(),
        PaymentProcessed { order, reservation, amount, transaction: "tx".parse().unwrap() }.into(),
        NotificationSent { order, user, channel, template }.into(),
    ];
    let writer = Some(Arc::new(Writer { term: u64::MAX, name: "a stranger".into() }));
    events
        .into_iter()
        .map(|event| signed(append(&format!("{:?}", event.kind()), event), writer.clone()))
        .collect()
}

fn signed(append: Append, writer: Option<Arc<Writer>>) -> Append {
    let mut message = append.message.as_ref().clone();
    message.writer = writer;
    Append { message: Arc::new(message), ..append }
}

#[tokio::test]
async fn whatever_is_misplaced_is_kept_and_has_no_effect() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let first = nth_of(1, 0);
    let mut strays = Vec::new();
    for append in [vec![placed(first)], of_each_topic(order(first))].concat() {
        for (to, key) in [(0, None), (2, Some("a customer"))] {
            strays.push(stray(&log, &append, to, key).await);
        }
    }
    let audit = Running::start(AuditMachine::new(), Arc::new(log.clone()));
    let users = Running::start(user_service(), Arc::new(log.clone()));
    eventually("all are kept", || async { trail(&log).await.letters.len() == strays.len() }).await;
    for (at, record) in &strays {
        let dead_letter = &trail(&log).await.letters[at];
        let reason = format!("lies in partition {}, its key belongs to partition 1", at.partition);
        assert_eq!(dead_letter.reason, reason, "{at}");
        assert_whole("misplaced", dead_letter, record);
    }
    assert!(orders_in(&log, Topic::UserEvents).await.is_empty(), "nobody answers what does not count");
    // The same order in the right partition: the answer elsewhere does not count.
    log.append(vec![placed(first)]).await.unwrap();
    answers(&log, &BTreeSet::from([order(first)])).await;
    users.stop().await.unwrap();
    audit.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_stranger_says_of_the_command_that_he_answers_keeps_nobody_from_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let mut orders = BTreeSet::new();
    let claims = [0, 1, 2, 7]
        .iter()
        .flat_map(|partition| {
            ["0", "99", "18446744073709551614", "18446744073709551615"].map(|offset| (partition, offset))
        })
        .map(|(partition, offset)| format!("order-events/{partition}/{offset}"));
    let strange = ["payment-events/1/99", "x", ""].map(str::to_owned);
    for (n, claim) in claims.chain(strange).enumerate() {
        let of = u32::try_from(n % 3).unwrap();
        let stranger = order(1_000 + u32::try_from(n).unwrap());
        let user = "USER-1".parse().unwrap();
        let answer = append(
            &claim,
            UserRejected { order: stranger, user, reason: Reason::UserBlocked, repeated: false },
        );
        let mut record = wire::encode(&answer).unwrap();
        record.headers.retain(|(name, _)| name != "kbnt_source");
        record.headers.push(("kbnt_source".into(), Some(claim.into_bytes())));
        let to = RawAppend { topic: Topic::UserEvents, to: Some(partition(&answer)), record };
        log.append_raw(vec![to]).await.unwrap();
        orders.insert(stranger);
        log.append(vec![placed(nth_of(of, n))]).await.unwrap();
        orders.insert(order(nth_of(of, n)));
    }
    for round in 0..2 {
        let users = Running::start(user_service(), Arc::new(log.clone()));
        answers(&log, &orders).await;
        let more = nth_of(round, 500);
        log.append(vec![placed(more)]).await.unwrap();
        orders.insert(order(more));
        answers(&log, &orders).await;
        users.stop().await.unwrap();
    }
}
