//! Backups in an object store with the interface of S3: a real one, started by `e2e/objects/store.sh`, and a broker, that of
//! `KBNT_TEST_BOOTSTRAP`.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoints;
mod cut;
mod disturbed;
#[path = "../program/support.rs"]
#[allow(dead_code, reason = "each test program uses its own part of this")]
mod program;
mod refused;
mod store;
#[path = "../support/mod.rs"]
mod support;

use std::process::{Command, Output};

use kbnt_application::ports::EventLog as _;
use kbnt_application::{Delivered, Topic};
use kbnt_testkit::{contents, created};

use program::{Running, basket, kbnt};
use store::{BUCKET, SECRET, Store};
use support::cluster::Cluster;

/// Runs it to its end, and makes sure that it tells no secret.
async fn output(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    for said in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(said).contains(SECRET), "{output:?}");
    }
    output
}

async fn succeeds(store: &Store, arguments: &[&str]) -> String {
    let mut command = kbnt(arguments);
    command.envs(store.variables());
    let output = output(command).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn shop(directory: &str) -> Running {
    let shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", directory]);
    shop.until_ready().await;
    shop
}

async fn sell(shop: &Running, count: u32) {
    for _ in 0..count {
        assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    }
}

#[tokio::test]
#[ignore = "starts an object store"]
async fn a_shop_goes_on_from_a_bucket_after_its_directory_is_lost() {
    let (store, directory) = (Store::start(), tempfile::tempdir().unwrap());
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (lost, new) = (path("lost"), path("new"));
    let place = format!("s3://{BUCKET}/shops/one/");
    let take = ["backup", "--to", &place, "--data-dir", &lost];
    let mut first = shop(&lost).await;
    first.declare(100).await;
    for runs in 1..=3 {
        sell(&first, 2).await;
        let said = succeeds(&store, &take).await;
        assert!(said.contains(&format!("in s3://{BUCKET}/shops/one, which has {runs} runs now")), "{said}");
    }
    let kept = first.get("/v1/stock/PROD-001").await;
    first.signal("KILL");
    first.ended();
    std::fs::remove_dir_all(&lost).unwrap();

    let can = succeeds(&store, &["restore", "--from", &place, "--dry-run"]).await;
    assert!(can.contains("can be restored"), "{can}");
    succeeds(&store, &["restore", "--from", &place, "--data-dir", &new]).await;
    let mut second = shop(&new).await;
    assert_eq!(second.get("/v1/stock/PROD-001").await, kept, "the units that were sold are sold");
    sell(&second, 1).await;
    second.signal("TERM");
    assert_eq!(second.ended().code(), Some(0));
    succeeds(&store, &["audit", "verify", "--data-dir", &new]).await;
    succeeds(&store, &["log", "verify", "--data-dir", &new]).await;
}

fn hashes(records: &[Delivered]) -> Vec<impl PartialEq + std::fmt::Debug> {
    records.iter().map(|record| (record.at, record.raw.as_ref().unwrap().hash())).collect()
}

#[tokio::test]
#[ignore = "starts an object store, and needs KBNT_TEST_BOOTSTRAP"]
async fn a_log_on_kafka_is_moved_by_way_of_a_bucket() {
    let (store, cluster) = (Store::start(), Cluster::with_topics("objects").await);
    let (log, other) = (cluster.log(), Cluster::with_topics("objects-restored").await);
    let place = format!("s3://{BUCKET}");
    let store = &store;
    let on = |cluster: &Cluster, arguments: &[&str]| {
        let more = [
            "--bootstrap-servers",
            &cluster.config.bootstrap_servers,
            "--topic-prefix",
            &cluster.config.prefix,
        ];
        let arguments: Vec<String> = arguments.iter().chain(&more).map(|&word| word.to_owned()).collect();
        async move { succeeds(store, &arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    for (from, to) in [(0, 12_000), (12_000, 12_001)] {
        log.append((from..to).map(created).collect()).await.unwrap();
        let said = on(&cluster, &["backup", "--to", &place]).await;
        assert!(said.starts_with(&format!("{} records more", to - from)), "{said}");
        let said = on(&other, &["restore", "--from", &place]).await;
        assert!(said.starts_with(&format!("{} records are written", to - from)), "{said}");
    }
    on(&other, &["log", "verify"]).await;
    for topic in Topic::EVENTS {
        let before = contents(log.with_bytes().as_ref(), topic).await;
        let after = contents(other.log().with_bytes().as_ref(), topic).await;
        for (partition, records) in before {
            assert_eq!(hashes(&after[&partition]), hashes(&records), "{topic:?}/{partition}");
        }
    }
}
