//! A writer that starts from a snapshot: what it takes from the snapshot, and what from the log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kbnt_adapters::snapshots::SnapshotDirectory;
use kbnt_application::inventory::{Image, InventoryConfig, InventoryMachine};
use kbnt_application::ports::{EventLog, SnapshotStore};
use kbnt_application::{Append, Topic};
use kbnt_domain::event::{Basket, Line, PaymentMethod, UserValidated};
use kbnt_domain::{Quantity, Span};
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::SnapshotPlan;

use crate::support::outside::{Running, declare};
use kbnt_testkit::{append, eventually, order};

const OUTPUT: Topic = Topic::InventoryEvents;

/// The validated user of an order, which requests the reservation.
fn validated(n: u32) -> Append {
    let payment = PaymentMethod { method: "credit_card".into(), token: None };
    let lines = vec![Line { product: "PROD-1".parse().unwrap(), quantity: Quantity::new(1).unwrap() }];
    let basket = Basket { user: "USER-1".parse().unwrap(), lines, payment };
    let placed_at = kbnt_domain::Timestamp::from_millis(1_767_225_600_000);
    append(&format!("validated/{n}"), UserValidated { order: order(n), basket, placed_at })
}

fn machine(name: &str) -> InventoryMachine {
    // The inputs are very old.
    let window = Span::from_minutes(60 * 24 * 365 * 100);
    InventoryMachine::new(InventoryConfig { window, ttl: window, ..InventoryConfig::new(name) })
}

fn store(directory: &Path) -> Arc<SnapshotDirectory<Image>> {
    Arc::new(SnapshotDirectory::open(directory).unwrap())
}

fn start(name: &str, log: &EmbeddedLog, directory: &Path) -> Running<InventoryMachine> {
    let plan = SnapshotPlan { store: store(directory), every: Duration::from_millis(20) };
    Running::with_snapshots(machine(name), Arc::new(log.clone()), plan)
}

/// Waits for a snapshot with this many reserved units.
async fn kept(directory: &Path, reserved: usize) {
    let store = store(directory);
    let holds = || async {
        store.load(0).is_some_and(|snapshot| snapshot.unwrap().image.ledger.active.len() == reserved)
    };
    eventually("a snapshot is kept", holds).await;
}

async fn reserved(running: &Running<InventoryMachine>, units: u64) {
    let as_many = || async { running.look(|machine| machine.summary().totals.reserved).await == units };
    eventually("all are reserved", as_many).await;
}

/// A log with 30 orders and a snapshot of 20 of them.
async fn shop(directory: &Path) -> EmbeddedLog {
    let log = EmbeddedLog::in_memory();
    let first = start("a", &log, directory);
    first.ready().await;
    declare(&first, 1_000).await;
    log.append((0..20).map(validated).collect()).await.unwrap();
    reserved(&first, 20).await;
    kept(directory, 20).await;
    first.kill().await;
    let second = Running::start(machine("b"), Arc::new(log.clone()));
    second.ready().await;
    log.append((20..30).map(validated).collect()).await.unwrap();
    reserved(&second, 30).await;
    second.kill().await;
    log
}

#[tokio::test]
async fn it_folds_and_reads_only_what_lies_behind_its_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let log = shop(directory.path()).await;
    let third = start("c", &log, directory.path());
    third.ready().await;
    reserved(&third, 30).await;
    assert_eq!(third.observed.snapshots(), ["restored 0"]);
    // Its own election, three records, comes after those that it folds at its start.
    assert_eq!(third.observed.recovered(), 10 + 3, "what the second writer wrote, and its elections");
    log.append(vec![validated(30)]).await.unwrap();
    reserved(&third, 31).await;
    assert_eq!(third.observed.handled(), 10 + 1, "of the inputs, what is behind the snapshot");
    assert_eq!(third.look(|machine| machine.writer().unwrap().term).await, 3);
    third.stop().await.unwrap();
}

#[tokio::test]
async fn a_damaged_snapshot_gives_way_to_the_one_before_and_that_to_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let log = shop(directory.path()).await;
    let mut files: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort_by_key(|file| file.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap());
    let newest = files.pop().unwrap();
    let cut = |file: &Path| std::fs::write(file, &std::fs::read(file).unwrap()[..100]).unwrap();
    cut(&newest);
    let third = start("c", &log, directory.path());
    third.ready().await;
    reserved(&third, 30).await;
    let outcomes = third.observed.snapshots();
    assert_eq!(
        outcomes.last().unwrap(),
        if files.is_empty() { "refused 0" } else { "restored 1" },
        "{outcomes:?}"
    );
    third.kill().await;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        cut(&entry.unwrap().path());
    }
    let fourth = start("d", &log, directory.path());
    fourth.ready().await;
    reserved(&fourth, 30).await;
    assert!(fourth.observed.snapshots().iter().all(|outcome| outcome.starts_with("refused")));
    fourth.stop().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_of_another_log_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    shop(directory.path()).await;
    // A shorter log, and one as long as before.
    for orders in [0, 100] {
        let other = EmbeddedLog::in_memory();
        let first = Running::start(machine("x"), Arc::new(other.clone()));
        first.ready().await;
        declare(&first, 1_000).await;
        other.append((1_000..1_000 + orders).map(validated).collect()).await.unwrap();
        reserved(&first, u64::from(orders)).await;
        first.kill().await;
        let second = Running::with_snapshots(
            machine("y"),
            Arc::new(other.clone()),
            SnapshotPlan { store: store(directory.path()), every: Duration::from_hours(1) },
        );
        second.ready().await;
        reserved(&second, u64::from(orders)).await;
        let outcomes = second.observed.snapshots();
        assert!(
            !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.starts_with("refused")),
            "{outcomes:?}"
        );
        second.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_read_back_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::in_memory();
    let running = start("a", &log, directory.path());
    running.ready().await;
    declare(&running, 1_000).await;
    log.append((0..50).map(validated).collect()).await.unwrap();
    reserved(&running, 50).await;
    kept(directory.path(), 50).await;
    let snapshot = store(directory.path()).load(0).unwrap().unwrap();
    for mark in &snapshot.folded {
        let record = &kbnt_testkit::contents(&log, OUTPUT).await[&mark.at.partition]
            [usize::try_from(mark.at.offset).unwrap()];
        assert_eq!((record.at, record.message.id), (mark.at, mark.id));
    }
    running.stop().await.unwrap();
}
