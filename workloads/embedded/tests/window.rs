//! A log in memory that keeps the newest records.
#![allow(missing_docs, clippy::unwrap_used)]

use kbnt_application::intact::Bounds;
use kbnt_application::ports::{Commit, EventLog, GroupBatch, GroupReader};
use kbnt_application::{Position, Service, Topic};
use kbnt_domain::Span;
use kbnt_embedded::EmbeddedLog;
use kbnt_testkit::{created, orders_in};

const TOPIC: Topic = Topic::OrderEvents;

async fn all_bounds(log: &EmbeddedLog) -> Vec<Bounds> {
    let mut all = Vec::new();
    for partition in 0..TOPIC.partitions() {
        all.push(log.bounds(TOPIC, partition).await.unwrap());
    }
    all
}

/// How many records are kept.
async fn kept(log: &EmbeddedLog) -> u64 {
    all_bounds(log).await.iter().map(|bounds| bounds.end - bounds.first).sum()
}

/// Reads everything as a member of its group, and commits it.
async fn commit_all(member: &mut dyn GroupReader, log: &EmbeddedLog) {
    while !matches!(member.next(1_000, Span::from_millis(10)).await.unwrap(), GroupBatch::Records(some) if some.is_empty())
    {
    }
    let next = (0u32..).zip(all_bounds(log).await);
    let next = next.map(|(partition, bounds)| Position { topic: TOPIC, partition, offset: bounds.end });
    member.commit(next.map(|next| Commit { next, note: String::new() }).collect()).await.unwrap();
}

#[tokio::test]
async fn the_newest_records_are_kept_under_the_offsets_that_they_had() {
    let log = EmbeddedLog::window(100);
    for n in 0..1_000 {
        log.append(vec![created(n)]).await.unwrap();
        assert!(kept(&log).await <= 100);
    }
    let newest = orders_in(&log, TOPIC).await;
    assert_eq!(newest.len(), 100);
    assert!((900..1_000).all(|n| newest.contains_key(&kbnt_testkit::order(n))));
    assert_eq!(all_bounds(&log).await.iter().map(|bounds| bounds.end).sum::<u64>(), 1_000);
}

#[tokio::test]
async fn what_a_service_has_not_read_is_kept() {
    let log = EmbeddedLog::window(100);
    let mut member = log.join(Service::Notification).await.unwrap();
    log.append((0..500).map(created).collect()).await.unwrap();
    assert_eq!(kept(&log).await, 500, "it has committed nothing");
    commit_all(member.as_mut(), &log).await;
    log.append((500..520).map(created).collect()).await.unwrap();
    assert_eq!(kept(&log).await, 100);
    log.append((520..700).map(created).collect()).await.unwrap();
    assert_eq!(kept(&log).await, 200, "it has read the first 500 only");
    drop(member);
    log.append(vec![created(700)]).await.unwrap();
    assert_eq!(kept(&log).await, 100, "nobody is there who has to read");
}

#[tokio::test]
async fn everything_is_kept_without_a_window() {
    let log = EmbeddedLog::in_memory();
    log.append((0..2_000).map(created).collect()).await.unwrap();
    assert_eq!(kept(&log).await, 2_000);
}
