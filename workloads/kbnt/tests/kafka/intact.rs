//! Topics that were cut, deleted or recreated on a broker: no service decides on them.

use std::sync::Arc;

use kbnt_application::intact::{Damage, Fault};
use kbnt_application::intact::{Integrity, TopicIds};
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::message::partition_of;
use kbnt_application::ports::{EventLog, LogError};
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Append, Machine, Service, Topic};
use kbnt_domain::event::{Basket, Line, PaymentMethod, UserValidated};
use kbnt_domain::{Currency, Money, Quantity, Span};
use kbnt_runtime::intact::Guarded;
use rdkafka::Offset;
use tokio_util::sync::CancellationToken;

use crate::support::cluster::Cluster;
use crate::support::outside::{Running, declare};
use kbnt_testkit::{DEADLINE, append, end, eventually, order, placed};

/// A service at work on a guarded log.
struct Watched<M> {
    running: Running<M>,
    integrity: Arc<Integrity>,
    log: Guarded,
    shutdown: CancellationToken,
}

impl<M: Machine> Watched<M> {
    fn start(machine: M, cluster: &Cluster, given: TopicIds) -> Self {
        let integrity = Arc::new(Integrity::new(given));
        let log = Guarded::new(Arc::new(cluster.log()), machine.service(), integrity.clone());
        let shutdown = CancellationToken::new();
        tokio::spawn(log.clone().watch(shutdown.clone()));
        let running = Running::start(machine, Arc::new(log.clone()));
        Self { running, integrity, log, shutdown }
    }

    /// The damage that it reports; `None` once it is ready.
    async fn verdict(&self) -> Option<Damage> {
        let mut progress = self.running.handle.progress();
        let settled = progress.wait_for(|progress| progress.ready || progress.damage.is_some());
        tokio::time::timeout(DEADLINE, settled).await.expect("neither ready nor damaged").unwrap().damage
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.running.stop().await.unwrap();
    }
}

fn inventory() -> InventoryMachine {
    // The inputs are very old.
    let window = Span::from_minutes(60 * 24 * 365 * 100);
    InventoryMachine::new(InventoryConfig { window, ttl: window, ..InventoryConfig::new("a") })
}

fn validated(n: u32) -> Append {
    let payment = PaymentMethod { method: "credit_card".into(), token: None };
    let lines = vec![Line { product: "PROD-1".parse().unwrap(), quantity: Quantity::new(1).unwrap() }];
    let basket = Basket { user: "USER-1".parse().unwrap(), lines, payment };
    let placed_at = kbnt_domain::Timestamp::from_millis(1_767_225_600_000);
    let event = UserValidated { order: order(n), basket, placed_at };
    let Append { message, route, source } = append(&format!("validated/{n}"), event);
    let mut message = message.as_ref().clone();
    message.service = Service::User;
    Append { message: Arc::new(message), route, source }
}

/// 100 units, of which 60 are taken, and then 10 more: if the log is cut behind that, 110 units would seem to
/// be free.
async fn shop(cluster: &Cluster) {
    let first = Watched::start(inventory(), cluster, TopicIds::default());
    assert_eq!(first.verdict().await, None);
    declare(&first.running, 100).await;
    cluster.log().append((0..60).map(validated).collect()).await.unwrap();
    eventually("all are taken", || async {
        first.running.look(|machine| machine.summary().totals.reserved).await == 60
    })
    .await;
    declare(&first.running, 110).await;
    first.stop().await;
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn sold_units_do_not_come_back_with_a_log_that_was_cut() {
    let cluster = Cluster::with_topics("cut-stock").await;
    shop(&cluster).await;
    let log = cluster.log();
    let mut ends = Vec::new();
    for partition in 0..3 {
        ends.push(end(&log, Topic::InventoryEvents, partition).await);
    }
    let two_left = |partition: u32| Offset::Offset(i64::try_from(ends[partition as usize] - 2).unwrap());
    cluster.cut(Topic::InventoryEvents, two_left).await;
    let second = Watched::start(inventory(), &cluster, TopicIds::default());
    let damage = second.verdict().await.expect("it decides on a log that was cut");
    let Fault::Cut { partition, wanted, found } = damage.fault else { panic!("{damage}") };
    assert_eq!((damage.service, damage.topic, wanted), (Service::Inventory, Topic::InventoryEvents, 0));
    assert_eq!(found, ends[partition as usize] - 2);
    assert!(second.running.handle.call(|machine, _| machine.summary()).await.is_err());
    second.stop().await;
    for (partition, before) in (0..3).zip(ends) {
        assert_eq!(end(&log, Topic::InventoryEvents, partition).await, before, "it has written");
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_group_whose_next_records_are_gone_does_not_go_on_behind_them() {
    let cluster = Cluster::with_topics("cut-input").await;
    let log = cluster.log();
    let config = || UserConfig { allow_unknown: true, ..UserConfig::default() };
    log.append((0..30).map(placed).collect()).await.unwrap();
    let first = Watched::start(UserMachine::new(config()), &cluster, TopicIds::default());
    let answered = || async {
        let mut sum = 0;
        for partition in 0..3 {
            sum += end(&log, Topic::UserEvents, partition).await;
        }
        sum
    };
    eventually("all are answered", || async { answered().await >= 30 }).await;
    first.stop().await;

    // The records that it has handled may go.
    cluster.expire(Topic::OrderEvents).await;
    let second = Watched::start(UserMachine::new(config()), &cluster, TopicIds::default());
    assert_eq!(second.verdict().await, None);
    second.stop().await;

    let before = answered().await;
    log.append((100..160).map(placed).collect()).await.unwrap();
    cluster.expire(Topic::OrderEvents).await;
    log.append((200..230).map(placed).collect()).await.unwrap();
    let third = Watched::start(UserMachine::new(config()), &cluster, TopicIds::default());
    eventually("it is noticed", || async { !third.integrity.is_intact() }).await;
    let damage = third.integrity.damage()[0];
    let Fault::Cut { wanted, found, .. } = damage.fault else { panic!("{damage}") };
    assert!(damage.topic == Topic::OrderEvents && wanted < found, "{damage}");
    third.stop().await;
    assert_eq!(answered().await, before, "it went on behind what is gone");
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_that_is_made_again_under_a_service_stops_it_within_seconds() {
    let cluster = Cluster::with_topics("replaced").await;
    let log = cluster.log();
    let running = Watched::start(inventory(), &cluster, TopicIds::default());
    assert_eq!(running.verdict().await, None);
    declare(&running.running, 100).await;
    let known = log.topic_id(Topic::InventoryEvents).await.unwrap();
    cluster.replace(Topic::InventoryEvents).await;
    let found = log.topic_id(Topic::InventoryEvents).await.unwrap();
    assert_ne!(known, found);
    let noticed = std::time::Instant::now();
    eventually("it is noticed", || async { !running.integrity.damage().is_empty() }).await;
    assert!(noticed.elapsed() < std::time::Duration::from_secs(10), "{:?}", noticed.elapsed());
    let damage = Damage {
        service: Service::Inventory,
        topic: Topic::InventoryEvents,
        fault: Fault::Replaced { known, found },
    };
    assert_eq!(running.integrity.damage(), [damage]);
    let refused = running.log.append(vec![validated(1)]).await;
    assert!(matches!(refused, Err(LogError::Damaged(reported)) if reported == damage), "{refused:?}");
    eventually("it is not ready", || async { !running.running.handle.is_ready() }).await;
    running.stop().await;
    for partition in 0..3 {
        assert_eq!(
            end(&log, Topic::InventoryEvents, partition).await,
            0,
            "it has written into the other topic"
        );
    }
    // Naming the new topic confirms it.
    let given = [(Topic::InventoryEvents, found)].into_iter().collect();
    let adopted = Watched::start(inventory(), &cluster, given);
    assert_eq!(adopted.verdict().await, None);
    adopted.stop().await;
    let other = [(Topic::InventoryEvents, known)].into_iter().collect();
    let refused = Watched::start(inventory(), &cluster, other);
    assert_eq!(refused.verdict().await, Some(damage));
    refused.stop().await;
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_that_is_made_again_between_a_stop_and_a_start_is_missed_by_those_who_read_it() {
    let cluster = Cluster::with_topics("remade").await;
    let log = cluster.log();
    let config = || UserConfig { allow_unknown: true, ..UserConfig::default() };
    log.append((0..30).map(placed).collect()).await.unwrap();
    let first = Watched::start(UserMachine::new(config()), &cluster, TopicIds::default());
    eventually("all are answered", || async {
        let mut sum = 0;
        for partition in 0..3 {
            sum += end(&log, Topic::UserEvents, partition).await;
        }
        sum >= 30
    })
    .await;
    first.stop().await;
    cluster.replace(Topic::OrderEvents).await;
    let second = Watched::start(UserMachine::new(config()), &cluster, TopicIds::default());
    let damage = second.verdict().await.expect("it decides on another log");
    assert!(matches!(damage.fault, Fault::Short { found: 0, .. }), "{damage}");
    assert_eq!(damage.topic, Topic::OrderEvents);
    second.stop().await;
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_writer_whose_own_topic_was_made_again_is_told_by_those_who_answered_to_it() {
    let cluster = Cluster::with_topics("remade-own").await;
    shop(&cluster).await;
    let log = cluster.log();
    let end = end(&log, Topic::InventoryEvents, 0).await;
    // payment-service's answer to the last record there.
    let order = (0..60).map(order).find(|order| partition_of(order.to_string(), 3) == 0).unwrap();
    let failed = kbnt_domain::event::PaymentFailed {
        order,
        reservation: kbnt_domain::ReservationId::derive(&order, 0),
        amount: Money::from_minor(59_999, Currency::BRL).unwrap(),
        reason: kbnt_domain::Reason::PaymentDeclined,
        refund_due: false,
    };
    let Append { message, .. } = append("failed", failed);
    let mut message = message.as_ref().clone();
    message.service = Service::Payment;
    let source =
        Some(kbnt_application::Position { topic: Topic::InventoryEvents, partition: 0, offset: end - 1 });
    let route = kbnt_application::Route::Partition(0);
    let answer = Append { message: Arc::new(message), route, source };
    log.append(vec![answer.clone(), answer]).await.unwrap();
    cluster.replace(Topic::InventoryEvents).await;
    let second = Watched::start(inventory(), &cluster, TopicIds::default());
    let damage = second.verdict().await.expect("it decides on another log");
    let fault = Fault::Short { partition: 0, wanted: end, found: 0 };
    assert_eq!((damage.topic, damage.fault), (Topic::InventoryEvents, fault));
    second.stop().await;
}
