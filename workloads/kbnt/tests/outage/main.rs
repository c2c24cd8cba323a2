//! A broker that dies, hangs or starts late: the services wait, lose nothing and need no restart. Starts its
//! own broker by `e2e/kafka/broker.sh`.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod broker;
mod front;
mod rights;
mod secure;
#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use broker::Broker;
use front::{Front, Mode};
use kbnt_application::Topic;
use kbnt_application::message::Subject;
use kbnt_application::ports::EventLog as _;
use kbnt_domain::{EventId, OrderId};
use kbnt_kafka::KafkaLog;
use kbnt_testkit::machines::{Echo, Solo};
use kbnt_testkit::{contents, created, eventually, placed};
use support::cluster::Cluster;
use support::outside::Running;

/// Writes inputs for both machines until it is stopped, and counts them.
async fn load(log: KafkaLog, stop: Arc<AtomicBool>, written: Arc<AtomicU32>) {
    while !stop.load(Ordering::SeqCst) {
        let n = written.load(Ordering::SeqCst);
        let batch = (n..n + 10).flat_map(|n| [created(n), placed(n)]).collect();
        if log.append(batch).await.is_ok() {
            written.store(n + 10, Ordering::SeqCst);
        }
        // Few enough that a slow machine, on which outages take longer, can answer all that arrived
        // meanwhile.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The events about each order.
async fn answers(log: &KafkaLog, topic: Topic) -> BTreeMap<OrderId, BTreeSet<EventId>> {
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    for record in contents(log, topic).await.into_values().flatten() {
        if let Subject::Order(order) = Subject::of(&record.message.event) {
            all.entry(order).or_default().insert(record.message.id);
        }
    }
    all
}

/// Waits until both machines have answered `count` inputs, and checks that none of them was answered in two
/// ways.
async fn each_is_answered_once(log: &KafkaLog, count: u32) {
    let count = usize::try_from(count).unwrap();
    for topic in [Topic::NotificationEvents, Topic::InventoryEvents] {
        eventually("all are answered", || async { answers(log, topic).await.len() >= count }).await;
        assert!(
            answers(log, topic).await.values().all(|ids| ids.len() == 1),
            "one answer, however often written"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn outages_of_every_kind_cost_nothing_but_time() {
    let broker = Broker::new();
    let cluster = Cluster::at(broker.start(), "outage");
    cluster.create(&Topic::ALL).await;
    let log = cluster.log();
    let member = Running::start(Echo::default(), Arc::new(cluster.log()));
    let writer = Running::start(Solo::new("a"), Arc::new(cluster.log()));
    member.ready().await;
    writer.ready().await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let loading = tokio::spawn(load(log.clone(), Arc::clone(&stop), Arc::clone(&written)));
    let progress = |more: u32| {
        let (written, goal) = (Arc::clone(&written), written.load(Ordering::SeqCst) + more);
        async move { eventually("the load goes on", || async { written.load(Ordering::SeqCst) >= goal }).await }
    };
    progress(100).await;

    broker.kill();
    eventually("both are unready", || async { !member.handle.is_ready() && !writer.handle.is_ready() }).await;
    broker.start();
    progress(100).await;

    broker.signal("-STOP");
    eventually("both are unready", || async { !member.handle.is_ready() && !writer.handle.is_ready() }).await;
    broker.signal("-CONT");
    progress(100).await;

    broker.kill();
    let late = Running::start(Echo::default(), Arc::new(cluster.log()));
    broker.start();
    late.ready().await;
    progress(100).await;

    stop.store(true, Ordering::SeqCst);
    loading.await.unwrap();
    each_is_answered_once(&log, written.load(Ordering::SeqCst)).await;
    for running in [member, late] {
        running.stop().await.unwrap();
    }
    writer.stop().await.unwrap();
}

/// Without a broker, a question is answered with an error at once. Waiting questions would take the processor
/// from the broker that is to come back: librdkafka does not rest while it holds one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn no_question_waits_for_a_broker_that_is_away() {
    let broker = Broker::new();
    let cluster = Cluster::at(broker.start(), "questions");
    cluster.create(&Topic::ALL).await;
    let log = cluster.log();
    let id = || log.topic_id(Topic::OrderEvents);
    let bounds = || log.bounds(Topic::OrderEvents, 0);
    let before = id().await.unwrap();
    broker.kill();
    let refused = |why: String| why.contains("no broker can be reached");
    eventually("the id is not asked for", || async { id().await.is_err_and(|e| refused(e.to_string())) })
        .await;
    assert!(bounds().await.is_err_and(|error| refused(error.to_string())));
    broker.start();
    eventually("it is asked for again", || async { id().await.is_ok_and(|id| id == before) }).await;
    eventually("so are the ends", || async { bounds().await.is_ok() }).await;
}

/// librdkafka never asks a cluster again that says it has no brokers. All clients of a member, of a writer
/// and of the load get that answer, some of them in the middle of their work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn a_cluster_that_seemed_to_have_no_brokers_is_found_again() {
    let (broker, front) = (Broker::new(), Front::listen().await);
    broker.start_behind(&front);
    let mut cluster = Cluster::at(front.address.to_string(), "fenced");
    cluster.config.renew_after = Duration::from_secs(3);
    // All of them ask soon.
    cluster.config.properties.insert("topic.metadata.refresh.interval.ms".into(), "1000".into());
    cluster.create(&Topic::ALL).await;
    let (logs, log) = ([cluster.log(), cluster.log()], cluster.log());
    let member = Running::start(Echo::default(), Arc::new(logs[0].clone()));
    let writer = Running::start(Solo::new("a"), Arc::new(logs[1].clone()));
    member.ready().await;
    writer.ready().await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let loading = tokio::spawn(load(log.clone(), Arc::clone(&stop), Arc::clone(&written)));
    for _ in 0..3 {
        let goal = written.load(Ordering::SeqCst) + 100;
        eventually("the load goes on", || async { written.load(Ordering::SeqCst) >= goal }).await;
        front.set(Mode::NoBrokers);
        eventually("nobody reaches a broker", || async {
            !log.is_up() && !member.handle.is_ready() && !writer.handle.is_ready()
        })
        .await;
        front.set(Mode::Through);
        eventually("both are ready", || async { member.handle.is_ready() && writer.handle.is_ready() }).await;
        eventually("every client is answered", || async { logs.iter().all(KafkaLog::is_up) }).await;
    }
    for log in &logs {
        assert!(log.renewed_clients() > 0, "by new clients: those of before never ask again");
    }
    stop.store(true, Ordering::SeqCst);
    loading.await.unwrap();
    each_is_answered_once(&log, written.load(Ordering::SeqCst)).await;
    assert!(*front.lies.borrow() > 0);
    member.stop().await.unwrap();
    writer.stop().await.unwrap();
}

/// After an outage a broker names the partitions of a topic in another order, which librdkafka does not
/// expect. It is asked all the time, because the answers of a broker that has just come back trigger it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn where_partitions_end_can_be_asked_after_every_outage() {
    let broker = Arc::new(Broker::new());
    let cluster = Cluster::at(broker.start(), "ends");
    cluster.create(&Topic::ALL).await;
    let log = cluster.log();
    let all = || async {
        let partitions = |topic: Topic| (0..topic.partitions()).map(move |partition| (topic, partition));
        let ends = Topic::ALL
            .into_iter()
            .flat_map(partitions)
            .map(|(topic, partition)| log.bounds(topic, partition));
        futures::future::join_all(ends).await
    };
    for _ in 0..3 {
        let away = Arc::clone(&broker);
        let restarting = tokio::task::spawn_blocking(move || {
            away.stop();
            away.start();
        });
        while !restarting.is_finished() {
            all().await;
            // Without a broker, the error comes at once.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        eventually("every partition has an end", || async { all().await.iter().all(Result::is_ok) }).await;
    }
}
