//! Unreadable records: each is stored whole and once, and nothing waits for them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use kbnt_application::audit::AuditMachine;
use kbnt_application::ports::{EventLog, RawRecord};
use kbnt_application::{Position, Service, Topic};
use kbnt_embedded::EmbeddedLog;
use kbnt_wire::raw::{RawAppend, RawLog};

use crate::support::outside::Running;
use kbnt_testkit::faulty::Faulty;
use kbnt_testkit::trail::{assert_whole, poisons, trail};
use kbnt_testkit::{created, eventually};

/// Writes `records` to each partition of a topic. Returns their positions.
async fn spoil(
    log: &impl RawLog,
    topic: Topic,
    records: &[(&'static str, RawRecord)],
) -> BTreeMap<Position, (&'static str, RawRecord)> {
    let mut spoilt = BTreeMap::new();
    for (index, (what, record)) in (0..).zip(records) {
        let append = RawAppend { topic, to: Some(index % topic.partitions()), record: record.clone() };
        let at = log.append_raw(vec![append]).await.unwrap()[0];
        spoilt.insert(at, (*what, record.clone()));
    }
    spoilt
}

/// Waits until the chain has this many records.
async fn linked(log: &impl EventLog, count: usize) {
    eventually("all are linked", || async {
        // The trail is not worth reading before it has at least this many records.
        let end = log.bounds(Topic::AuditLogs, 0).await.unwrap().end;
        end >= count as u64 && trail(log).await.linked.len() == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_of_every_kind_is_kept_whole_and_once_over_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let faulty = Faulty::new(log.clone());
    faulty.forget_commits.store(true, Ordering::SeqCst);
    let mut bad = BTreeMap::new();
    let mut good = 0;
    for round in 0..4_u32 {
        for topic in Service::Audit.inputs() {
            bad.append(&mut spoil(&log, *topic, &poisons(2_000)).await);
        }
        log.append((good..good + 30).map(created).collect()).await.unwrap();
        good += 30;
        let running = Running::start(AuditMachine::new(), faulty.clone());
        let before = log.bounds(Topic::AuditLogs, 0).await.unwrap().end;
        faulty.torn_appends.store(1, Ordering::SeqCst);
        eventually("it is at work", || async {
            log.bounds(Topic::AuditLogs, 0).await.unwrap().end > before + 10 * u64::from(round)
        })
        .await;
        running.kill().await;
    }
    let running = Running::start(AuditMachine::new(), faulty.clone());
    linked(&log, bad.len() + good as usize).await;
    // The run before has linked everything, but this one has yet to read it.
    let reported = || running.observed.unreadable.lock().unwrap().len();
    eventually("each is told once a run", || async { reported() >= bad.len() }).await;
    assert_eq!(reported(), bad.len(), "each is told once a run");
    running.stop().await.unwrap();
    drop((faulty, log));

    let log = EmbeddedLog::open(directory.path()).unwrap();
    let trail = trail(&log).await;
    assert!(trail.letters.keys().eq(bad.keys()));
    for (at, dead_letter) in &trail.letters {
        let (what, record) = &bad[at];
        assert_whole(what, dead_letter, record);
        assert!(!dead_letter.reason.is_empty(), "{what}");
        assert_eq!(dead_letter.kept_hash(), Some(trail.linked[at]), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_large_records_is_kept_in_pieces_that_the_log_takes() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let (_, large) = poisons(1_200_000).into_iter().find(|(what, _)| *what == "large").unwrap();
    let bad = spoil(&log, Topic::OrderEvents, &vec![("large", large); 60]).await;
    let running = Running::start(AuditMachine::new(), std::sync::Arc::new(log.clone()));
    linked(&log, bad.len()).await;
    running.stop().await.unwrap();
    for (at, dead_letter) in trail(&log).await.letters {
        assert_whole("large", &dead_letter, &bad[&at].1);
    }
}

#[tokio::test]
async fn what_is_too_large_is_kept_in_part_and_stops_nobody() {
    let log = EmbeddedLog::in_memory();
    let faulty = Faulty::new(log.clone());
    faulty.largest.store(600_000, Ordering::SeqCst);
    // More than the log takes, and more than the trail has room for.
    let records: Vec<_> = [700_000, 4_000_000]
        .into_iter()
        .flat_map(poisons)
        .filter(|(what, _)| ["large", "a tombstone"].contains(what))
        .collect();
    let bad = spoil(&log, Topic::OrderEvents, &records).await;
    log.append((0..9).map(created).collect()).await.unwrap();
    let running = Running::start(AuditMachine::new(), faulty);
    linked(&log, bad.len() + 9).await;
    running.stop().await.unwrap();
    let trail = trail(&log).await;
    assert_eq!(trail.letters.len(), 4);
    for (at, dead_letter) in &trail.letters {
        let (what, record) = &bad[at];
        if *what == "large" {
            let (value, kept) = (record.value.as_ref().unwrap(), dead_letter.value.as_deref().unwrap());
            assert!(!dead_letter.whole && value.starts_with(kept) && !kept.is_empty());
            assert_eq!(dead_letter.value_bytes, value.len() as u64);
            assert_eq!(dead_letter.value_hash, Some(kbnt_domain::audit::sha256(value)));
            assert_eq!(dead_letter.content_hash(), trail.linked[at], "the key and headers are there");
        } else {
            assert_whole(what, dead_letter, record);
        }
    }
}
