//! `kbnt log verify` on a broker.

use std::process::Command;

use kbnt_application::Topic;
use kbnt_application::intact::TopicId;
use kbnt_application::ports::EventLog as _;
use kbnt_testkit::{created, end};
use rdkafka::Offset;
use serde_json::Value;

use crate::support::cluster::Cluster;

/// The exit code and the report.
async fn verify(cluster: &Cluster, more: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbnt"));
    command.args(["log", "verify", "--json", "--bootstrap-servers", &cluster.config.bootstrap_servers]);
    command.args(["--topic-prefix", &cluster.config.prefix]).args(more).env_clear();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let report = serde_json::from_slice(&output.stdout);
    (output.status.code(), report.unwrap_or_else(|_| String::from_utf8_lossy(&output.stderr).into()))
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn what_is_missing_on_a_broker_is_named() {
    let cluster = Cluster::with_topics("verify").await;
    let log = cluster.log();
    log.append((0..200).map(created).collect()).await.unwrap();
    let (code, whole) = verify(&cluster, &[]).await;
    assert_eq!((code, &whole["intact"]), (Some(0), &true.into()), "{whole}");
    let records: u64 =
        whole["partitions"].as_array().unwrap().iter().filter_map(|p| p["records"].as_u64()).sum();
    assert_eq!(records, 200);

    let other = format!("order-events={}", TopicId::from_bytes([7; 16]));
    let (code, replaced) = verify(&cluster, &["--kafka-topic-ids", &other]).await;
    assert_eq!((code, &replaced["damage"][0]["kind"]), (Some(3), &"replaced".into()), "{replaced}");

    let end = end(&log, Topic::OrderEvents, 0).await;
    cluster.cut(Topic::OrderEvents, |_| Offset::Offset(1)).await;
    let (code, cut) = verify(&cluster, &[]).await;
    let damage = &cut["damage"][0];
    assert_eq!((code, &damage["kind"], &damage["found"]), (Some(3), &"cut".into(), &1.into()), "{cut}");
    let is_first =
        |found: &&Value| (&found["topic"], &found["partition"]) == (&"order-events".into(), &0.into());
    let first = cut["partitions"].as_array().unwrap().iter().find(is_first).unwrap();
    assert_eq!((&first["first"], &first["end"]), (&1.into(), &end.into()), "{cut}");
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_that_is_not_there_is_an_error() {
    let cluster = Cluster::empty("verify-nothing");
    let (code, said) = verify(&cluster, &[]).await;
    assert_eq!(code, Some(1));
    assert!(said.as_str().is_some_and(|said| said.contains("-events")), "{said}");
}
