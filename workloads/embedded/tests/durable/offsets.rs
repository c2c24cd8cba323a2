//! The offsets file: trusted only if undamaged, never against the journal, and a proof of missing records.

use std::path::Path;

use kbnt_application::ports::{Commit, EventLog as _, GroupBatch, RawRecord};
use kbnt_application::{Position, Service, Topic};
use kbnt_domain::Span;
use kbnt_embedded::{EmbeddedLog, OpenError, Proof};
use kbnt_wire::raw::{RawAppend, RawLog as _};

use kbnt_testkit::{created, orders_in};

const FILE: &str = "offsets.json";
const SEGMENT: &str = "journal-00000000.log";

/// Ten orders in one group, then one record in a group of its own for each of `topics`, and a commit of all
/// orders. Returns where each group of the journal ends.
async fn written(directory: &Path, topics: &[Topic]) -> Vec<u64> {
    let log = EmbeddedLog::open(directory).unwrap();
    let length = || std::fs::metadata(directory.join(SEGMENT)).unwrap().len();
    let positions = log.append((0..10).map(created).collect()).await.unwrap();
    let mut ends = vec![length()];
    for topic in topics {
        let record = RawRecord { value: Some(b"{}".to_vec()), ..RawRecord::default() };
        log.append_raw(vec![RawAppend { topic: *topic, to: Some(0), record }]).await.unwrap();
        ends.push(length());
    }
    let next = |at: &Position| Position { offset: at.offset + 1, ..*at };
    let commits = positions.iter().map(|at| Commit { next: next(at), note: "7 a5b5".into() }).collect();
    log.join(Service::Audit).await.unwrap().commit(commits).await.unwrap();
    ends
}

async fn committed(log: &EmbeddedLog) -> usize {
    let mut member = log.join(Service::Audit).await.unwrap();
    let GroupBatch::Assigned(assigned) = member.next(1, Span::default()).await.unwrap() else { panic!() };
    assigned.iter().map(|assignment| assignment.committed.len()).sum()
}

fn truncate(directory: &Path, length: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(directory.join(SEGMENT)).unwrap();
    file.set_len(length).unwrap();
}

/// A copy of the directory's files.
fn copied(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[tokio::test]
async fn every_flipped_byte_is_seen_and_everything_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &[]).await;
    let original = std::fs::read(directory.path().join(FILE)).unwrap();
    assert!(committed(&EmbeddedLog::open(directory.path()).unwrap()).await > 0);
    for at in 0..original.len() {
        let mut flipped = original.clone();
        flipped[at] ^= 1 << (at % 7);
        std::fs::write(directory.path().join(FILE), &flipped).unwrap();
        let log = EmbeddedLog::open(directory.path()).unwrap();
        assert_eq!(committed(&log).await, 0, "byte {at}");
        assert_eq!(log.recovery().short, []);
        assert!(matches!(log.recovery().proof, Proof::Refused(_)), "byte {at}");
    }
    for text in [&b""[..], b"[{", b"[]", &original[..original.len() - 1]] {
        std::fs::write(directory.path().join(FILE), text).unwrap();
        let log = EmbeddedLog::open(directory.path()).unwrap();
        assert_eq!((committed(&log).await, orders_in(&log, Topic::OrderEvents).await.len()), (0, 10));
    }
}

#[tokio::test]
async fn acknowledged_records_that_are_missing_are_named_and_nothing_is_changed() {
    let stores = [Topic::UserEvents, Topic::OrderEvents, Topic::PaymentEvents, Topic::InventoryEvents];
    for topic in stores {
        let directory = tempfile::tempdir().unwrap();
        let ends = written(directory.path(), &[topic]).await;
        // Cut at the end of a group, and in the middle of one.
        for length in [ends[0], ends[0] + 9] {
            let copy = copied(directory.path());
            truncate(copy.path(), length);
            let error = EmbeddedLog::open(copy.path()).err().unwrap();
            let OpenError::Short { short, .. } = &error else { panic!("{error}") };
            assert_eq!((short.len(), short[0].end.topic, short[0].end.partition), (1, topic, 0));
            assert!(error.to_string().contains(&short[0].end.to_string()), "{error}");
            assert!(error.to_string().contains("nothing was changed"), "{error}");
            assert_eq!(std::fs::metadata(copy.path().join(SEGMENT)).unwrap().len(), length);
            // The remedy that the message names.
            std::fs::remove_file(copy.path().join(FILE)).unwrap();
            let log = EmbeddedLog::open(copy.path()).unwrap();
            assert_eq!((committed(&log).await, orders_in(&log, Topic::OrderEvents).await.len()), (0, 10));
        }
    }
}

#[tokio::test]
async fn a_journal_that_is_gone_is_not_taken_for_a_new_log() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &[]).await;
    std::fs::remove_file(directory.path().join(SEGMENT)).unwrap();
    let error = EmbeddedLog::open(directory.path()).err().unwrap();
    assert!(matches!(&error, OpenError::Short { short, .. } if !short.is_empty()), "{error}");
    assert!(!directory.path().join(SEGMENT).exists());
}

#[tokio::test]
async fn what_the_services_make_good_is_told_and_no_commit_is_believed() {
    let directory = tempfile::tempdir().unwrap();
    let ends =
        written(directory.path(), &[Topic::NotificationEvents, Topic::AuditLogs, Topic::AuditLogs]).await;
    for (length, missing) in [
        (ends[0], vec![(Topic::NotificationEvents, 1), (Topic::AuditLogs, 2)]),
        (ends[2], vec![(Topic::AuditLogs, 1)]),
    ] {
        let copy = copied(directory.path());
        truncate(copy.path(), length);
        let log = EmbeddedLog::open(copy.path()).unwrap();
        let short = &log.recovery().short;
        let found: Vec<_> =
            short.iter().map(|short| (short.end.topic, short.wanted - short.end.offset)).collect();
        assert_eq!(found, missing);
        assert_eq!(committed(&log).await, 0, "what was committed may rest on what is gone");
        drop(log);
        assert_eq!(EmbeddedLog::open(copy.path()).unwrap().recovery().short, [], "it is told once");
    }
}

#[tokio::test]
async fn a_copy_keeps_the_id_and_offsets_of_another_log_are_not_believed() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    written(one.path(), &[]).await;
    written(other.path(), &[]).await;
    let id = EmbeddedLog::open(one.path()).unwrap().id();
    assert_ne!(id, EmbeddedLog::open(other.path()).unwrap().id());
    assert_ne!(EmbeddedLog::in_memory().id(), EmbeddedLog::in_memory().id());
    let copy = copied(one.path());
    assert_eq!(EmbeddedLog::open(copy.path()).unwrap().id(), id);
    std::fs::copy(other.path().join(FILE), copy.path().join(FILE)).unwrap();
    let log = EmbeddedLog::open(copy.path()).unwrap();
    assert_eq!((log.id(), committed(&log).await), (id, 0));
}

#[tokio::test]
async fn the_id_survives_the_loss_of_its_file_and_any_flipped_byte() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), &[]).await;
    let id = EmbeddedLog::open(directory.path()).unwrap().id();
    let file = directory.path().join("log.json");
    let original = std::fs::read(&file).unwrap();
    for at in 0..original.len() {
        let mut flipped = original.clone();
        flipped[at] ^= 4;
        std::fs::write(&file, flipped).unwrap();
        assert_eq!(EmbeddedLog::open(directory.path()).unwrap().id(), id, "byte {at}");
        assert_eq!(std::fs::read(&file).unwrap(), original);
    }
    std::fs::remove_file(&file).unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    assert_eq!(log.id(), id);
    assert!(committed(&log).await > 0);
}
