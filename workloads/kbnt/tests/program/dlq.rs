//! `kbnt dlq`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Output;
use std::time::Instant;

use kbnt_application::ports::RawRecord;
use kbnt_application::{Position, Topic};
use kbnt_embedded::EmbeddedLog;
use kbnt_wire::raw::{BrowsableLog as _, RawAppend, RawLog as _};
use serde_json::{Value, json};

use crate::support::{DEADLINE, Running, kbnt};

const ORDER: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

fn order() -> String {
    let payload = json!({
        "orderId": ORDER, "userId": "USER-1", "items": [{"productId": "PROD-001", "quantity": 2}],
        "payment": {"method": "pix"},
    });
    json!({"eventName": "PlaceOrderCommand", "payload": payload}).to_string()
}

/// The order, cut off before its end.
fn cut_off() -> String {
    let mut order = order();
    order.truncate(order.len() - 2);
    order
}

/// A log with two unreadable records: an order that was cut off, and a tombstone.
async fn spoil(directory: &Path) {
    let log = EmbeddedLog::open(directory).unwrap();
    let record = |value: Option<String>| RawAppend {
        topic: Topic::OrderEvents,
        to: None,
        record: RawRecord {
            key: Some(ORDER.as_bytes().to_vec()),
            value: value.map(String::into_bytes),
            headers: vec![("x".into(), Some(b"y".to_vec()))],
            ..RawRecord::default()
        },
    };
    log.append_raw(vec![record(Some(cut_off())), record(None)]).await.unwrap();
}

/// Runs the program on `origin`.
async fn run(arguments: &[&str], origin: [&str; 2]) -> Output {
    let mut command = kbnt(arguments);
    command.args(origin).env("USER", "ana");
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn stdout_of(arguments: &[&str], origin: [&str; 2]) -> String {
    let output = run(arguments, origin).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(arguments: &[&str], origin: [&str; 2]) -> String {
    let output = run(arguments, origin).await;
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn list(origin: [&str; 2]) -> Value {
    serde_json::from_str(&stdout_of(&["dlq", "list", "--all", "--json"], origin).await).unwrap()
}

/// A running shop stores both as dead letters, shows them, and goes on. Returns their ids.
async fn while_it_runs(directory: &str) -> [String; 2] {
    let mut shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", directory]);
    shop.until_ready().await;
    shop.declare(10).await;
    let url = shop.url.clone();
    let origin = ["--url", url.as_str()];
    let give_up = Instant::now() + DEADLINE;
    while list(origin).await["open"] != 2 {
        assert!(Instant::now() < give_up, "they are not kept");
    }
    let metrics = shop.client.get(format!("{url}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("kbnt_dead_letters_total{topic=\"order-events\"} 2"), "{metrics}");
    let all = list(origin).await;
    let ids = [0, 1].map(|n| all["deadLetters"][n]["id"].as_str().unwrap().to_owned());
    assert!(stdout_of(&["dlq", "show", &ids[0]], origin).await.contains("PlaceOrderCommand"));
    assert!(stdout_of(&["audit", "verify"], origin).await.contains("2 dead letters, 2 of them open"));
    let refusal = refused(&["dlq", "discard", &ids[1], "--reason", "no"], origin).await;
    assert!(refusal.contains("a running kbnt serve takes no records from outside"), "{refusal}");
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    ids
}

#[tokio::test]
async fn what_nobody_understands_is_listed_shown_corrected_and_replayed_or_discarded() {
    let directory = tempfile::tempdir().unwrap();
    spoil(directory.path()).await;
    let data_dir = directory.path().to_str().unwrap();
    let [order_id, tombstone] = while_it_runs(data_dir).await;
    let origin = ["--data-dir", data_dir];

    let table = stdout_of(&["dlq", "list"], origin).await;
    assert!(
        table.contains(&order_id) && table.contains(&tombstone) && table.contains("2 open, 0 resolved"),
        "{table}"
    );
    let shown = stdout_of(&["dlq", "show", &order_id], origin).await;
    assert!(shown.contains("x: y") && shown.contains(ORDER) && shown.contains("EOF"), "{shown}");
    assert_eq!(stdout_of(&["dlq", "show", &order_id, "--raw"], origin).await, cut_off());
    let shown: Value =
        serde_json::from_str(&stdout_of(&["dlq", "show", &tombstone, "--json"], origin).await).unwrap();
    assert_eq!((&shown["value"], &shown["state"]), (&Value::Null, &json!("OPEN")));

    for (arguments, why) in [
        (vec!["replay", order_id.as_str()], "nobody would understand it"),
        (vec!["discard", order_id.as_str(), "--reason", " "], "say why"),
        (vec!["show", "order-events/0@99"], "there is no dead letter"),
    ] {
        let refusal = refused(&[vec!["dlq"], arguments].concat(), origin).await;
        assert!(refusal.contains(why), "{refusal}");
    }
    let value = directory.path().join("corrected.json");
    std::fs::write(&value, order()).unwrap();
    let value = value.to_str().unwrap();
    let replayed =
        stdout_of(&["dlq", "replay", &order_id, "--value", value, "--reason", "completed"], origin).await;
    assert!(replayed.contains("is written again, as order-events/"), "{replayed}");
    assert!(
        refused(&["dlq", "replay", &order_id, "--value", value], origin)
            .await
            .contains("is REPLAYED already")
    );
    stdout_of(&["dlq", "discard", &tombstone, "--reason", "nobody misses it", "--by", "bea"], origin).await;
    assert_eq!(stdout_of(&["dlq", "list"], origin).await, "0 open, 2 resolved\n");
    let all = list(origin).await;
    let resolution = |n: usize| all["deadLetters"][n]["resolutions"][0].clone();
    assert_eq!((&resolution(0)["how"], &resolution(0)["by"]), (&json!("REPLAYED"), &json!("ana")));
    assert_eq!((&resolution(1)["how"], &resolution(1)["by"]), (&json!("DISCARDED"), &json!("bea")));

    the_order_is_carried_out(data_dir).await;
    let verified = stdout_of(&["audit", "verify"], origin).await;
    assert!(verified.contains("2 dead letters, 0 of them open"), "{verified}");
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let written: Position = resolution(0)["replayedTo"].as_str().unwrap().parse().unwrap();
    let written = log.read_raw(written.topic, written.partition, written.offset, 1).unwrap();
    let replay_of = written[0].1.headers.iter().find(|(name, _)| name == "kbnt_replay_of").unwrap();
    assert_eq!(replay_of.1.as_deref(), Some(order_id.replace('@', "/").as_bytes()));
}

/// The shop opens again, processes the replayed order, and audits all of it.
async fn the_order_is_carried_out(directory: &str) {
    let mut shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", directory]);
    shop.until_ready().await;
    let give_up = Instant::now() + DEADLINE;
    while shop.get(&format!("/v1/orders/{ORDER}")).await.1["status"] != "CONFIRMED" {
        assert!(Instant::now() < give_up, "the order is not carried out");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let url = shop.url.clone();
    while !run(&["audit", "verify"], ["--url", &url]).await.status.success() {
        assert!(Instant::now() < give_up, "the trail is behind");
    }
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
}

/// Runs a shop until it has stored this many dead letters. Returns the first id.
async fn kept(directory: &str, count: usize) -> String {
    let mut shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", directory]);
    shop.until_ready().await;
    shop.declare(100).await;
    let url = shop.url.clone();
    let give_up = Instant::now() + DEADLINE;
    while list(["--url", url.as_str()]).await["open"] != count {
        assert!(Instant::now() < give_up, "they are not kept");
    }
    let other = json!({"userId": "USER-2", "items": [{"productId": "PROD-001", "quantity": 1}],
                       "payment": {"method": "pix"}});
    for _ in 0..6 {
        let answer = shop.client.post(format!("{url}/v1/orders?wait=20s")).json(&other).send().await.unwrap();
        let order: Value = answer.json().await.unwrap();
        assert_eq!(order["status"], "CONFIRMED", "those of all partitions go on: {order}");
    }
    let id = list(["--url", url.as_str()]).await["deadLetters"][0]["id"].as_str().unwrap().to_owned();
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    id
}

/// Every file of a directory, without the folder of the inventory beside them.
fn files(directory: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    let entries = entries.filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap())).collect()
}

#[tokio::test]
async fn what_is_refused_changes_no_file() {
    let directory = tempfile::tempdir().unwrap();
    spoil(directory.path()).await;
    let data_dir = directory.path().to_str().unwrap();
    let id = kept(data_dir, 2).await;
    let journal = directory.path().join("journal-00000000.log");
    let torn = [std::fs::read(&journal).unwrap(), vec![0; 100]].concat();
    std::fs::write(&journal, &torn).unwrap();
    let only_a_lock = tempfile::tempdir().unwrap();
    std::fs::write(only_a_lock.path().join("lock"), "").unwrap();
    for (arguments, why) in [
        (&["discard", "order-events/0@99", "--reason", "x"][..], "there is no dead letter"),
        (&["discard", &id, "--reason", " "], "say why"),
        (&["replay", "order-events/0@99"], "there is no dead letter"),
        (&["replay", &id], "nobody would understand it"),
        (&["replay", &id, "--value", "/nowhere"], "/nowhere"),
    ] {
        let arguments = [&["dlq"], arguments].concat();
        for path in [directory.path(), only_a_lock.path()] {
            let before = files(path);
            let said = refused(&arguments, ["--data-dir", path.to_str().unwrap()]).await;
            assert_eq!(files(path), before, "{arguments:?}: {said}");
            let there = path == directory.path();
            assert!(said.contains(if there { why } else { "there is no dead letter" }), "{said}");
            assert_eq!(said.contains("no whole write"), there, "{said}");
        }
    }
    let output = run(&["dlq", "discard", &id, "--reason", "x"], ["--data-dir", data_dir]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("they were cut off"), "{said}");
}

#[tokio::test]
async fn a_list_that_lacks_letters_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    spoil(directory.path()).await;
    let data_dir = directory.path().to_str().unwrap();
    kept(data_dir, 2).await;
    std::fs::remove_file(directory.path().join("journal-00000000.log")).unwrap();
    for form in [&["dlq", "list"][..], &["dlq", "list", "--all", "--json"]] {
        let said = refused(form, ["--data-dir", data_dir]).await;
        assert!(said.contains("audit-logs/0@0 and on to offset"), "{said}");
    }
    let verify = kbnt(&["audit", "verify", "--data-dir", data_dir]).output().unwrap();
    let said = String::from_utf8(verify.stderr).unwrap();
    assert_eq!(said.matches("audit-logs/0@0 and on to offset").count(), 1, "told once: {said}");
}

#[tokio::test]
async fn an_order_that_lies_in_another_partition_is_replayed_where_it_belongs() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let record = RawRecord { value: Some(order().into_bytes()), ..RawRecord::default() };
    let log = EmbeddedLog::open(directory.path()).unwrap();
    // Without a key, as many console producers write: it goes to partition 0, and belongs to 2.
    log.append_raw(vec![RawAppend { topic: Topic::OrderEvents, to: None, record }]).await.unwrap();
    drop(log);

    let id = kept(data_dir, 1).await;
    assert_eq!(id, "order-events/0@0");
    let origin = ["--data-dir", data_dir];
    let shown = stdout_of(&["dlq", "show", &id], origin).await;
    assert!(shown.contains("lies in partition 0, its key belongs to partition 2"), "{shown}");
    let replayed = stdout_of(&["dlq", "replay", &id], origin).await;
    assert!(replayed.contains("order-events/0@0 is written again, as order-events/2@"), "{replayed}");
    the_order_is_carried_out(data_dir).await;
}

#[tokio::test]
async fn times_without_a_form_are_dead_letters_and_the_shop_starts_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let dated = |timestamp: &str| {
        let mut value: Value = serde_json::from_str(&order()).unwrap();
        value["timestamp"] = json!(timestamp);
        RawRecord { value: Some(value.to_string().into_bytes()), ..RawRecord::default() }
    };
    let micros = RawRecord {
        value: Some(order().into_bytes()),
        at: kbnt_domain::Timestamp::from_millis(1_769_860_800_000_000),
        ..RawRecord::default()
    };
    for record in [dated("9999-12-31T23:59:59-03:00"), dated("0000-01-01T00:00:00+03:00"), micros] {
        log.append_raw(vec![RawAppend { topic: Topic::OrderEvents, to: Some(2), record }]).await.unwrap();
    }
    drop(log);
    for _ in 0..2 {
        assert!(kept(data_dir, 3).await.starts_with("order-events/2@"));
    }
    let shown = stdout_of(&["dlq", "show", "order-events/2@2"], ["--data-dir", data_dir]).await;
    assert!(
        shown.contains("its time in the log, 1769860800000000 ms, is in no year from 0000 to 9999"),
        "{shown}"
    );
}
