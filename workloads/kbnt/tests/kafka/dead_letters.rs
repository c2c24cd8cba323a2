//! Dead letters on a broker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kbnt_application::audit::AuditMachine;
use kbnt_application::message::partition_of;
use kbnt_application::ports::{EventLog as _, RawRecord};
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Position, Topic};
use kbnt_domain::OrderId;
use kbnt_kafka::KafkaLog;
use kbnt_wire::raw::{RawAppend, RawLog as _};

use crate::odd;
use crate::support::cluster::Cluster;
use crate::support::outside::Running;
use kbnt_testkit::trail::{Trail, assert_whole, poisons, trail};
use kbnt_testkit::{created, eventually, order, orders_in};

/// Below the broker's default limit, and above it as text.
const LARGE: usize = 950_000;

async fn spoil(
    log: &KafkaLog,
    records: Vec<(&'static str, RawRecord)>,
) -> BTreeMap<Position, (&'static str, RawRecord)> {
    let append = |(_, record): &(&str, RawRecord)| RawAppend {
        topic: Topic::OrderEvents,
        to: Some(1),
        record: record.clone(),
    };
    let positions = log.append_raw(records.iter().map(append).collect()).await.unwrap();
    positions.into_iter().zip(records).collect()
}

/// Runs audit-service until the chain has this many records, and then shuts it down.
async fn audited(log: &KafkaLog, cluster: &Cluster, count: usize) -> Trail {
    let running = Running::start(AuditMachine::new(), Arc::new(cluster.log()));
    eventually("all are linked", || async {
        log.bounds(Topic::AuditLogs, 0).await.unwrap().end >= count as u64
            && trail(log).await.linked.len() == count
    })
    .await;
    running.stop().await.unwrap();
    trail(log).await
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn poison_of_every_kind_is_kept_whole_and_once() {
    let cluster = Cluster::with_topics("dead-letters").await;
    let log = cluster.log();
    let mut bad = spoil(&log, poisons(LARGE)).await;
    // A broker measures the compressed size of a record.
    let packed = RawRecord { value: Some(vec![b'x'; 2_000_000]), ..RawRecord::default() };
    bad.append(&mut spoil(&log, vec![("packed", packed)]).await);
    log.append((0..50).map(created).collect()).await.unwrap();
    let trail = audited(&log, &cluster, bad.len() + 50).await;
    assert!(trail.letters.keys().eq(bad.keys()));
    for (at, dead_letter) in &trail.letters {
        let (what, record) = &bad[at];
        assert_whole(what, dead_letter, record);
        assert_eq!(dead_letter.kept_hash(), Some(trail.linked[at]), "{what}");
    }
    // A restart adds nothing.
    let more = spoil(&log, poisons(10)).await;
    let again = audited(&log, &cluster, bad.len() + more.len() + 50).await;
    assert_eq!(again.letters.len(), bad.len() + more.len());
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_that_takes_no_large_records_stops_nobody() {
    let cluster = Cluster::with_topics("small-trail").await;
    cluster.limit(Topic::AuditLogs, "1048588").await;
    let log = cluster.log();
    let bad = spoil(&log, poisons(LARGE)).await;
    log.append((0..50).map(created).collect()).await.unwrap();
    let trail = audited(&log, &cluster, bad.len() + 50).await;
    assert!(trail.letters.keys().eq(bad.keys()));
    for (at, dead_letter) in &trail.letters {
        let (what, record) = &bad[at];
        if *what == "large" {
            assert!(!dead_letter.whole && dead_letter.value_bytes == LARGE as u64);
            assert_eq!(dead_letter.content_hash(), trail.linked[at]);
        } else {
            assert_eq!(dead_letter.value_bytes, record.value.as_ref().map_or(0, Vec::len) as u64, "{what}");
        }
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_header_that_the_client_cannot_show_ends_nobody() {
    let cluster = Cluster::with_topics("odd-header").await;
    let (log, topic) = (cluster.log(), cluster.config.topic_name(Topic::OrderEvents));
    let order =
        format!(r#"{{"eventName":"OrderCancelRequestedCommand","payload":{{"orderId":"{}"}}}}"#, order(2));
    for value in [order.as_bytes(), b"[1"] {
        odd::write(&cluster.config.bootstrap_servers, &topic, value);
    }
    let trail = audited(&log, &cluster, 2).await;
    let (at, dead_letter) = trail.letters.iter().next().unwrap();
    assert_eq!(at.to_string(), "order-events/0@1");
    assert_eq!(dead_letter.value.as_deref(), Some(b"[1".as_slice()));
    assert_eq!(dead_letter.headers.len(), 1, "the other one");
}

/// An order by another program, whose id maps to partition `home`.
fn placed_by_a_stranger(home: u32, timestamp: &str) -> (OrderId, RawRecord) {
    let belongs = |n: &u32| partition_of(order(*n).to_string(), 3) == home;
    let order = order((0..1_000).find(belongs).unwrap());
    let value = format!(
        r#"{{"eventName":"PlaceOrderCommand","timestamp":"{timestamp}","payload":{{"orderId":"{order}","userId":"USER-1",
            "items":[{{"productId":"PROD-001","quantity":3}}],"payment":{{"method":"pix"}}}}}}"#
    );
    (order, RawRecord { value: Some(value.into_bytes()), ..RawRecord::default() })
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn an_order_in_another_partition_or_of_a_time_without_a_form_is_kept_and_others_are_answered() {
    let cluster = Cluster::with_topics("misplaced").await;
    let log = cluster.log();
    let good = placed_by_a_stranger(0, "2026-01-31T12:00:00Z");
    let append = |partition, record| RawAppend { topic: Topic::OrderEvents, to: Some(partition), record };
    let mut batch: Vec<RawAppend> = (0..40).map(|_| append(0, good.1.clone())).collect();
    batch.push(append(0, placed_by_a_stranger(1, "2026-01-31T12:00:00Z").1));
    batch.push(append(2, placed_by_a_stranger(2, "9999-12-31T23:59:59-03:00").1));
    batch.push(append(2, placed_by_a_stranger(2, "0000-01-01T00:00:00+03:00").1));
    let bad: Vec<Position> = log.append_raw(batch).await.unwrap()[40..].to_vec();
    for _ in 0..2 {
        let config = UserConfig { allow_unknown: true, ..UserConfig::default() };
        let users = Running::start(UserMachine::new(config), Arc::new(cluster.log()));
        let more = placed_by_a_stranger(1, "9999-12-31T23:59:59Z");
        log.append_raw(vec![append(1, more.1)]).await.unwrap();
        let expected = BTreeSet::from([good.0, more.0]);
        eventually("the others are answered", || async {
            orders_in(&log, Topic::UserEvents).await.into_keys().collect::<BTreeSet<_>>() == expected
        })
        .await;
        users.stop().await.unwrap();
    }
    let trail = audited(&log, &cluster, 40 + 2 + bad.len() + 2).await;
    assert!(trail.letters.keys().eq(&bad), "{:?}", trail.letters);
    assert_eq!(trail.letters[&bad[0]].reason, "lies in partition 0, its key belongs to partition 1");
    assert!(trail.letters[&bad[1]].reason.contains("in no year from 0000 to 9999"));
}
