//! Records that nobody understands, on a broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbnt_application::audit::AuditMachine;
use kbnt_application::ports::{EventLog as _, RawRecord};
use kbnt_application::{Position, Topic};
use kbnt_infrastructure::kafka::KafkaLog;
use kbnt_infrastructure::raw::{RawAppend, RawLog as _};

use crate::odd;
use crate::support::cluster::Cluster;
use crate::support::outside::Running;
use crate::support::trail::{Trail, assert_whole, poisons, trail};
use crate::support::{created, eventually, order};

/// Below what a broker takes by default, and as text above it.
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

/// Runs audit-service until as many records are in the chain, and then in order to its end.
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
    let cluster = Cluster::whole("dead-letters").await;
    let log = cluster.log();
    let mut bad = spoil(&log, poisons(LARGE)).await;
    // A broker takes a record for as large as it is when it is packed.
    let packed = RawRecord { value: Some(vec![b'x'; 2_000_000]), ..RawRecord::default() };
    bad.append(&mut spoil(&log, vec![("packed", packed)]).await);
    log.append((0..50).map(created).collect()).await.unwrap();
    let trail = audited(&log, &cluster, bad.len() + 50).await;
    assert!(trail.letters.keys().eq(bad.keys()));
    for (at, letter) in &trail.letters {
        let (what, record) = &bad[at];
        assert_whole(what, letter, record);
        assert_eq!(letter.kept_hash(), Some(trail.linked[at]), "{what}");
    }
    // A restart adds nothing.
    let more = spoil(&log, poisons(10)).await;
    let again = audited(&log, &cluster, bad.len() + more.len() + 50).await;
    assert_eq!(again.letters.len(), bad.len() + more.len());
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_that_takes_no_large_records_stops_nobody() {
    let cluster = Cluster::whole("small-trail").await;
    cluster.limit(Topic::AuditLogs, "1048588").await;
    let log = cluster.log();
    let bad = spoil(&log, poisons(LARGE)).await;
    log.append((0..50).map(created).collect()).await.unwrap();
    let trail = audited(&log, &cluster, bad.len() + 50).await;
    assert!(trail.letters.keys().eq(bad.keys()));
    for (at, letter) in &trail.letters {
        let (what, record) = &bad[at];
        if *what == "large" {
            assert!(!letter.whole && letter.value_bytes == LARGE as u64);
            assert_eq!(letter.content_hash(), trail.linked[at]);
        } else {
            assert_eq!(letter.value_bytes, record.value.as_ref().map_or(0, Vec::len) as u64, "{what}");
        }
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_header_that_the_client_cannot_show_ends_nobody() {
    let cluster = Cluster::whole("odd-header").await;
    let (log, topic) = (cluster.log(), cluster.config.topic_name(Topic::OrderEvents));
    let order =
        format!(r#"{{"eventName":"OrderCancelRequestedCommand","payload":{{"orderId":"{}"}}}}"#, order(1));
    for value in [order.as_bytes(), b"[1"] {
        odd::write(&cluster.config.bootstrap_servers, &topic, value);
    }
    let trail = audited(&log, &cluster, 2).await;
    let (at, letter) = trail.letters.iter().next().unwrap();
    assert_eq!(at.to_string(), "order-events/0@1");
    assert_eq!(letter.value.as_deref(), Some(b"[1".as_slice()));
    assert_eq!(letter.headers.len(), 1, "the other one");
}
