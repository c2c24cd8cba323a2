//! Reopening a log after an orderly shutdown.

use kbnt_application::ports::{Commit, EventLog as _, GroupBatch, RawRecord};
use kbnt_application::{Position, Service, Topic};
use kbnt_domain::Span;
use kbnt_embedded::{EmbeddedLog, OpenError};
use kbnt_wire::raw::{BrowsableLog as _, RawAppend, RawLog as _};

use kbnt_testkit::{contents, created, orders_in};

#[tokio::test]
async fn everything_is_there_again_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let batch: Vec<_> = (0..500).map(created).collect();
    let positions = log.append(batch.clone()).await.unwrap();
    let odd = RawRecord {
        key: None,
        value: Some(b"\xff\x00".to_vec()),
        headers: vec![("a".into(), None), ("a".into(), Some(Vec::new()))],
        at: kbnt_domain::Timestamp::from_millis(-5),
    };
    let raw = RawAppend { topic: Topic::AuditLogs, to: None, record: odd.clone() };
    log.append_raw(vec![raw]).await.unwrap();
    let before = contents(&log, Topic::OrderEvents).await;
    drop(log);

    let log = EmbeddedLog::open(directory.path()).unwrap();
    assert_eq!((log.recovery().records, &log.recovery().torn), (501, &None));
    let after = contents(&log, Topic::OrderEvents).await;
    for (append, at) in batch.iter().zip(&positions) {
        let index = usize::try_from(at.offset).unwrap();
        let (before, after) = (&before[&at.partition][index], &after[&at.partition][index]);
        assert_eq!((&after.message, after.at, after.source), (&append.message, *at, append.source));
        assert_eq!(before.message, after.message);
    }
    assert_eq!(log.read_raw(Topic::AuditLogs, 0, 0, 9).unwrap(), [(0, odd)]);
    log.append((500..600).map(created).collect()).await.unwrap();
    assert_eq!(orders_in(&log, Topic::OrderEvents).await.len(), 600);
}

#[tokio::test]
async fn commits_and_their_notes_are_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let positions = log.append((0..30).map(created).collect()).await.unwrap();
    let commit = |at: Position| Commit { next: Position { offset: at.offset + 1, ..at }, note: "7 a".into() };
    let mut member = log.join(Service::Audit).await.unwrap();
    member.commit(vec![commit(positions[3])]).await.unwrap();
    drop((member, log));

    let log = EmbeddedLog::open(directory.path()).unwrap();
    let mut member = log.join(Service::Audit).await.unwrap();
    let GroupBatch::Assigned(assigned) = member.next(1, Span::default()).await.unwrap() else { panic!() };
    let committed: Vec<_> = assigned.into_iter().flat_map(|assignment| assignment.committed).collect();
    assert_eq!(committed, [commit(positions[3])]);
}

#[tokio::test]
async fn a_directory_is_for_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let second = EmbeddedLog::open(directory.path());
    assert!(matches!(second.err(), Some(OpenError::InUse(path)) if path == directory.path()));
    drop(log);
    EmbeddedLog::open(directory.path()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_records_are_read_from_the_journal_while_new_ones_arrive() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    for block in 0..20 {
        log.append((block * 1_000..(block + 1) * 1_000).map(created).collect()).await.unwrap();
    }
    let writer = log.clone();
    let writing = tokio::spawn(async move {
        for block in 20..30 {
            writer.append((block * 1_000..(block + 1) * 1_000).map(created).collect()).await.unwrap();
        }
    });
    let first = (0..3).map(|partition| Position { topic: Topic::OrderEvents, partition, offset: 0 });
    let mut reader = log.read(first.collect()).await.unwrap();
    let mut next = [0; 3];
    let mut read = 0;
    while read < 30_000 {
        for fetched in reader.next(1_000, Span::from_secs(5)).await.unwrap() {
            let kbnt_application::ports::Fetched::Record(record) = fetched else { panic!("{fetched:?}") };
            let next = &mut next[usize::try_from(record.at.partition).unwrap()];
            assert_eq!(record.at.offset, *next, "in order and without a gap");
            *next += 1;
            read += 1;
        }
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_that_wait_together_are_made_durable_together() {
    let directory = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(directory.path()).unwrap();
    let appends = (0..2_000).map(|n| {
        let log = log.clone();
        async move { log.append(vec![created(n)]).await.unwrap() }
    });
    futures::future::join_all(appends).await;
    drop(log);
    let bytes = std::fs::read(directory.path().join("journal-00000000.log")).unwrap();
    let groups = bytes.windows(8).filter(|window| window == b"KBNTlog1").count();
    assert!(groups < 200, "{groups} groups for 2,000 appends");
}
