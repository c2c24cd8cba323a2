//! The history of orders follows the log, whatever happens to the disk.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kbnt_adapters::checkpoints::{CheckpointedHistory, Checkpoints};
use kbnt_adapters::history::SqliteHistory;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::objects::Place;
use kbnt_application::history::Search;
use kbnt_application::intact::Integrity;
use kbnt_application::ports::{EventLog as _, History as _, LogError};
use kbnt_application::{Position, Service, Topic};
use kbnt_domain::Span;
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::intact::Guarded;

use kbnt_testkit::{eventually, order, placed};

use crate::support::history::{Running, log, ready, shows, start_with};

fn start(log: &EmbeddedLog, directory: &Path, retention: Option<Span>) -> Running {
    start_with(log.clone(), Arc::new(SqliteHistory::new(directory.to_owned())), retention)
}

/// A history that begins once the one before has let go of the file.
async fn reopened(log: &EmbeddedLog, directory: &Path) -> Running {
    eventually("nobody has it open", || async { !directory.join("history.sqlite-wal").exists() }).await;
    let running = start(log, directory, None);
    ready(&running).await;
    running
}

#[tokio::test]
async fn it_goes_on_where_it_was_and_says_how_far_it_has_come() {
    let (directory, log) = (tempfile::tempdir().unwrap(), log(5_000).await);
    let first = start(&log, directory.path(), None);
    assert!(!first.view.standing().ready);
    ready(&first).await;
    let standing = first.view.standing();
    assert!(standing.as_of.is_some() && standing.lag == 0);
    assert!(shows(&first, 5_000).await);
    let ends = log.append(vec![placed(5_001)]).await.unwrap();
    let next = ends.iter().map(|at| Position { offset: at.offset + 1, ..*at });
    first.view.reached(&next.collect::<Vec<_>>()).await;
    assert!(first.view.get(order(5_001)).await.unwrap().is_some(), "it is applied");
    eventually("it has come further", || async { first.view.standing().as_of > standing.as_of }).await;
    drop(first);
    let second = start(&log, directory.path(), None);
    ready(&second).await;
    assert_eq!((second.reports.count("resumed"), second.reports.count("rebuilt")), (1, 0));
    assert!(shows(&second, 5_000).await && second.view.get(order(5_001)).await.unwrap().is_some());
    assert_eq!(second.view.size().await.unwrap().orders, 5_001);
}

#[tokio::test]
async fn what_is_cut_is_passed_over_by_a_history_and_by_nobody_who_decides() {
    let (directory, log) = (tempfile::tempdir().unwrap(), EmbeddedLog::window(2_000));
    log.append((0..6_000).map(placed).collect()).await.unwrap();
    let kept = log.bounds(Topic::OrderEvents, 0).await.unwrap();
    assert!(kept.first > 0, "{kept:?}");
    let integrity = Arc::new(Integrity::default());
    let guarded = Guarded::new(Arc::new(log.clone()), Service::Order, Arc::clone(&integrity));
    let store = Arc::new(SqliteHistory::new(directory.path().to_owned()));
    let running = start_with(guarded.clone().passing_over(), store, None);
    ready(&running).await;
    assert!(running.view.get(order(5_999)).await.unwrap().is_some());
    assert!(running.view.get(order(0)).await.unwrap().is_none(), "its record is gone");
    assert!(integrity.damage().is_empty());
    let first = Position { topic: Topic::OrderEvents, partition: 0, offset: 0 };
    let refused = guarded.read(vec![first]).await.err();
    assert!(matches!(refused, Some(LogError::Damaged(_))), "{refused:?}");
}

#[tokio::test]
async fn it_waits_for_a_disk_that_fails() {
    let (directory, log) = (tempfile::tempdir().unwrap(), log(10).await);
    let path = directory.path().join("in/the/way");
    std::fs::write(directory.path().join("in"), "").unwrap();
    let running = start(&log, &path, None);
    eventually("it has failed", || async { running.reports.count("failed") > 1 }).await;
    assert!(running.view.get(order(1)).await.is_err() && !running.view.standing().ready);
    std::fs::remove_file(directory.path().join("in")).unwrap();
    ready(&running).await;
    assert!(shows(&running, 10).await);
    assert_eq!(running.reports.count("rebuilt"), 0);
}

#[tokio::test]
async fn what_a_reader_finds_damaged_is_built_anew() {
    let (directory, log) = (tempfile::tempdir().unwrap(), log(200).await);
    let running = start(&log, directory.path(), None);
    ready(&running).await;
    // What was written is moved into the file when nobody has it open.
    drop(running);
    let running = reopened(&log, directory.path()).await;
    let file = std::fs::File::options().write(true).open(directory.path().join("history.sqlite")).unwrap();
    for page in 1..file.metadata().unwrap().len() / 4_096 {
        file.write_all_at(&[0x5a; 3_900], page * 4_096 + 100).unwrap();
    }
    eventually("it is found", || async {
        let _ = running.view.search(Search { limit: 200, ..Search::default() }).await;
        running.reports.count("rebuilt") > 0
    })
    .await;
    ready(&running).await;
    eventually("all is there again", || async {
        running.view.standing().ready && running.view.size().await.is_ok_and(|size| size.orders == 200)
    })
    .await;
    assert!(shows(&running, 200).await);
}

#[tokio::test]
async fn orders_that_have_ended_are_kept_for_as_long_as_they_are_to_be() {
    let (directory, log) = (tempfile::tempdir().unwrap(), log(1_300).await);
    let running = start(&log, directory.path(), Some(Span::from_secs(1)));
    ready(&running).await;
    // They were placed long ago; those that have not ended stay.
    eventually("they are dropped", || async {
        running.view.size().await.is_ok_and(|size| size.orders == 650) && running.reports.count("expired") > 0
    })
    .await;
    assert!(running.view.get(order(1)).await.unwrap().is_some());
    assert!(running.view.get(order(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn orders_are_dropped_as_fast_as_a_batch_can_add_them() {
    let (directory, log) = (tempfile::tempdir().unwrap(), log(8_000).await);
    let running = start(&log, directory.path(), Some(Span::from_secs(1)));
    ready(&running).await;
    eventually("they are dropped", || async {
        running.view.size().await.is_ok_and(|size| size.orders == 4_000)
    })
    .await;
    // All at once, or in a few parts if it took so long to build that some were due before.
    assert!(running.reports.count("expired") <= 4, "{}", running.reports.count("expired"));
}

fn checkpoints(place: &Path) -> Checkpoints {
    Checkpoints::new(Place::create(place).unwrap(), Service::Order)
}

/// A history at work with checkpoints in a place, as often as can be.
fn checkpointed(log: &EmbeddedLog, directory: &Path, place: &Path) -> (Running, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let store = SqliteHistory::new(directory.to_owned());
    let store = CheckpointedHistory::new(store, checkpoints(place), Duration::ZERO, Arc::clone(&metrics));
    (start_with(log.clone(), Arc::new(store), None), metrics)
}

fn fetched(metrics: &Metrics) -> bool {
    metrics.render().contains("kbnt_checkpoints_total{outcome=\"fetched\",service=\"order-service\"}")
}

/// A log of so many orders, and checkpoints of them.
async fn kept(orders: u32, place: &Path) -> EmbeddedLog {
    let (directory, log) = (tempfile::tempdir().unwrap(), log(orders).await);
    let (running, metrics) = checkpointed(&log, directory.path(), place);
    ready(&running).await;
    assert!(!fetched(&metrics), "there was none");
    let next = std::sync::atomic::AtomicU32::new(orders);
    eventually("checkpoints are kept", || async {
        let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        log.append(vec![placed(n)]).await.unwrap();
        checkpoints(place).newest(2).await.unwrap().is_some()
    })
    .await;
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_on_an_empty_volume_begins_with_a_checkpoint() {
    let (place, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = kept(5_000, place.path()).await;
    let (running, metrics) = checkpointed(&log, directory.path(), place.path());
    ready(&running).await;
    assert!(fetched(&metrics));
    assert_eq!((running.reports.count("resumed"), running.reports.count("rebuilt")), (1, 0));
    assert!(shows(&running, 5_000).await);
    // One that is damaged is passed over.
    drop(running);
    let other = tempfile::tempdir().unwrap();
    for pack in std::fs::read_dir(place.path().join("order-service/orders")).unwrap() {
        std::fs::write(pack.unwrap().path(), "cut").unwrap();
    }
    let (running, metrics) = checkpointed(&log, other.path(), place.path());
    ready(&running).await;
    assert!(!fetched(&metrics));
    assert!(running.reports.count("resumed") == 0 && shows(&running, 5_000).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_of_another_log_are_refused_like_a_history_of_another_log() {
    let (place, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    kept(500, place.path()).await;
    let other = log(100).await;
    let (running, metrics) = checkpointed(&other, directory.path(), place.path());
    ready(&running).await;
    assert!(fetched(&metrics));
    assert_eq!(running.reports.count("rebuilt"), 3, "each of them");
    eventually("the log counts", || async {
        running.view.standing().ready && running.view.size().await.is_ok_and(|size| size.orders == 100)
    })
    .await;
    assert!(shows(&running, 100).await && running.view.get(order(101)).await.unwrap().is_none());
}
