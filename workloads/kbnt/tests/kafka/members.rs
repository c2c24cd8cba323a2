//! Processes that share the partitions of a service.

use std::collections::BTreeSet;
use std::sync::Arc;

use kbnt_application::Topic;
use kbnt_application::ports::{
    Assignment, Commit, EventLog as _, GroupBatch, GroupReader, LogError, ReplacedTopic,
};
use kbnt_application::{Position, Service};
use kbnt_domain::Span;
use kbnt_kafka::{KafkaConfig, KafkaLog};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::support::cluster::Cluster;
use crate::support::outside::Running;
use kbnt_testkit::machines::Echo;
use kbnt_testkit::{created, eventually, orders_in};

const ANSWERS: Topic = Topic::NotificationEvents;

/// The next assignment, skipping records.
async fn assignment(reader: &mut dyn GroupReader) -> Vec<Assignment> {
    let deadline = std::time::Instant::now() + kbnt_testkit::DEADLINE;
    while std::time::Instant::now() < deadline {
        if let GroupBatch::Assigned(assigned) = reader.next(100, Span::from_millis(200)).await.unwrap() {
            return assigned;
        }
    }
    panic!("never assigned");
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn commits_and_their_notes_are_found_again() {
    let log = Cluster::with_topics("commits").await.log();
    log.append((0..300).map(created).collect()).await.unwrap();
    let mut first = log.join(Service::Audit).await.unwrap();
    let assigned = assignment(first.as_mut()).await;
    assert_eq!(
        assigned.iter().map(|a| a.partition).collect::<Vec<_>>(),
        [0, 1, 2],
        "audit reads everything alone"
    );
    assert!(assigned.iter().all(|a| a.committed.is_empty()));
    let next = Position { topic: Topic::OrderEvents, partition: 1, offset: 17 };
    let commit = Commit { next, note: "3 writer-b".into() };
    first.commit(vec![commit.clone()]).await.unwrap();
    first.leave().await.unwrap();
    let mut second = log.join(Service::Audit).await.unwrap();
    let assigned = assignment(second.as_mut()).await;
    let committed: Vec<_> = assigned.into_iter().flat_map(|a| a.committed).collect();
    assert_eq!(committed, [commit]);
    let mut lowest = [u64::MAX; 3];
    while lowest.contains(&u64::MAX) {
        let GroupBatch::Records(records) = second.next(1_000, Span::from_secs(1)).await.unwrap() else {
            continue;
        };
        for record in records {
            let kbnt_application::ports::Fetched::Record(record) = record else { panic!("{record:?}") };
            let lowest = &mut lowest[usize::try_from(record.at.partition).unwrap()];
            *lowest = record.at.offset.min(*lowest);
        }
    }
    assert_eq!(lowest, [0, 17, 0]);
    second.leave().await.unwrap();
}

/// The offset that the group of audit-service has committed for a partition.
fn committed(cluster: &Cluster, at: Position) -> Option<u64> {
    let group = format!("{}kbnt-audit-service", cluster.config.prefix);
    let servers = &cluster.config.bootstrap_servers;
    let observer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", servers).set("group.id", group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&cluster.config.topic_name(at.topic), i32::try_from(at.partition).unwrap());
    let answer = observer.committed_offsets(list, kbnt_testkit::DEADLINE).unwrap();
    match answer.elements()[0].offset() {
        Offset::Offset(offset) => Some(u64::try_from(offset).unwrap()),
        _ => None,
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn offsets_are_committed_while_a_member_is_at_work_and_not_only_as_it_leaves() {
    let cluster = Cluster::with_topics("commits-at-work").await;
    let log = cluster.log();
    log.append((0..30).map(created).collect()).await.unwrap();
    let mut member = log.join(Service::Audit).await.unwrap();
    assert_eq!(assignment(member.as_mut()).await.len(), 3);
    for offset in [1, 2, 3] {
        let next = Position { topic: Topic::OrderEvents, partition: 1, offset };
        member.commit(vec![Commit { next, note: String::new() }]).await.unwrap();
        eventually("the group has it", || async { committed(&cluster, next) == Some(offset) }).await;
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn what_was_committed_for_a_topic_says_nothing_about_another_one_of_its_name() {
    let (cluster, topic) = (Cluster::with_topics("commits-stray").await, Topic::OrderEvents);
    let log = cluster.log();
    log.append((0..300).map(created).collect()).await.unwrap();
    let mut first = log.join(Service::Audit).await.unwrap();
    assert_eq!(assignment(first.as_mut()).await.len(), 3);
    let known = log.topic_id(topic).await.unwrap();
    cluster.replace(topic).await;
    let found = log.topic_id(topic).await.unwrap();
    log.append((0..300).map(created).collect()).await.unwrap();
    // It has not noticed.
    let next = Position { topic, partition: 1, offset: 17 };
    first.commit(vec![Commit { next, note: "3 writer-b".into() }]).await.unwrap();
    first.leave().await.unwrap();
    assert_eq!(committed(&cluster, next), Some(17));

    let mut second = log.join(Service::Audit).await.unwrap();
    let assigned = assignment(second.as_mut()).await;
    let replaced = vec![ReplacedTopic { topic, known, found }];
    for of in assigned {
        let stray = if of.partition == 1 { replaced.clone() } else { Vec::new() };
        assert_eq!((of.committed, of.replaced), (Vec::new(), stray), "{}", of.partition);
    }
    let mut seen = BTreeSet::new();
    let first = Position { topic, partition: 1, offset: 0 };
    while seen.iter().all(|at: &Position| at.partition != 1) {
        take(second.next(1_000, Span::from_secs(1)).await.unwrap(), &mut seen);
    }
    assert!(seen.contains(&first), "{:?}", seen.first());
}

/// The next change, while no records are wanted.
async fn change(reader: &mut dyn GroupReader) -> GroupBatch {
    let deadline = std::time::Instant::now() + kbnt_testkit::DEADLINE;
    while std::time::Instant::now() < deadline {
        match reader.next(0, Span::from_millis(200)).await.unwrap() {
            GroupBatch::Records(records) => assert!(records.is_empty(), "{records:?}"),
            change => return change,
        }
    }
    panic!("no change");
}

/// The partitions that the first member hands over to the second one, which has just joined.
async fn handed_over(first: &mut dyn GroupReader, second: &mut dyn GroupReader) -> Vec<u32> {
    let GroupBatch::Revoked(revoked) = change(first).await else { panic!("nothing was revoked") };
    let theirs = async {
        loop {
            if let GroupBatch::Assigned(assigned) = change(second).await
                && !assigned.is_empty()
            {
                return assigned;
            }
        }
    };
    let waiting = async {
        loop {
            change(first).await;
        }
    };
    let assigned: Vec<Assignment> = tokio::select! { assigned = theirs => assigned, () = waiting => vec![] };
    assert_eq!(assigned.iter().map(|a| a.partition).collect::<Vec<_>>(), revoked);
    revoked
}

/// Records what was read; nothing may be read twice.
fn take(batch: GroupBatch, seen: &mut BTreeSet<Position>) {
    let GroupBatch::Records(records) = batch else { return };
    for record in records {
        assert!(seen.insert(record.at()), "{record:?} was read before");
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn whoever_wants_no_records_hears_of_changes_and_reads_on_later() {
    let log = Cluster::with_topics("hold").await.log();
    log.append((0..20_000).map(created).collect()).await.unwrap();
    let mut first = log.join(Service::Notification).await.unwrap();
    assert_eq!(assignment(first.as_mut()).await.len(), 3);
    let mut seen = BTreeSet::new();
    // Some records are read, and more of them wait in the reader.
    while seen.is_empty() {
        take(first.next(100, Span::from_secs(1)).await.unwrap(), &mut seen);
    }
    let mut second = log.join(Service::Notification).await.unwrap();
    let revoked = handed_over(first.as_mut(), second.as_mut()).await;
    // The records of these partitions that the first member read are read again, because they were not
    // committed.
    let kept: Vec<u32> = (0..3).filter(|partition| !revoked.contains(partition)).collect();
    for (reader, partitions, mut seen) in
        [(&mut second, &revoked, BTreeSet::new()), (&mut first, &kept, seen)]
    {
        let mut ends = 0;
        for partition in partitions {
            ends += log.bounds(Topic::OrderEvents, *partition).await.unwrap().end;
        }
        let all = |seen: &BTreeSet<Position>| {
            seen.iter().filter(|at| partitions.contains(&at.partition)).count() as u64 == ends
        };
        let read_all = async {
            while !all(&seen) {
                take(reader.next(1_000, Span::from_secs(1)).await.unwrap(), &mut seen);
            }
        };
        tokio::time::timeout(kbnt_testkit::DEADLINE, read_all).await.expect("not everything was read");
    }
    first.leave().await.unwrap();
    second.leave().await.unwrap();
}

/// Joins the group with this static name.
async fn join_as(cluster: &Cluster, name: &str) -> Box<dyn GroupReader> {
    let config = KafkaConfig { static_member: Some(name.into()), ..cluster.config.clone() };
    KafkaLog::new(config).unwrap().join(Service::Notification).await.unwrap()
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_static_member_comes_back_to_its_partitions_and_nobody_else_notices() {
    let cluster = Cluster::with_topics("static").await;
    let mut first = join_as(&cluster, "a").await;
    assert_eq!(assignment(first.as_mut()).await.len(), 3);
    let mut second = join_as(&cluster, "b").await;
    let gone = handed_over(first.as_mut(), second.as_mut()).await;
    first.leave().await.unwrap();
    let mut first = join_as(&cluster, "a").await;
    let again: Vec<u32> = assignment(first.as_mut()).await.iter().map(|a| a.partition).collect();
    let kept: Vec<u32> = (0..3).filter(|partition| !gone.contains(partition)).collect();
    assert_eq!(again, kept);
    let batch = second.next(0, Span::from_secs(1)).await.unwrap();
    assert!(matches!(&batch, GroupBatch::Records(none) if none.is_empty()), "{batch:?}");
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_second_process_of_a_name_ends_the_first() {
    let cluster = Cluster::with_topics("namesake").await;
    let mut first = join_as(&cluster, "a").await;
    assert_eq!(assignment(first.as_mut()).await.len(), 3);
    let mut second = join_as(&cluster, "a").await;
    assert_eq!(assignment(second.as_mut()).await.len(), 3);
    let ended =
        async { while !matches!(first.next(0, Span::from_millis(200)).await, Err(LogError::Refused(_))) {} };
    tokio::time::timeout(kbnt_testkit::DEADLINE, ended).await.expect("it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn members_come_and_go_and_every_input_is_answered() {
    let log = Arc::new(Cluster::with_topics("scale").await.log());
    let answered = |count: usize| {
        let log = log.clone();
        async move {
            eventually("all are answered", || async {
                orders_in(log.as_ref(), ANSWERS).await.len() == count
            })
            .await;
        }
    };
    let first = Running::start(Echo::default(), log.clone());
    first.ready().await;
    log.append((0..200).map(created).collect()).await.unwrap();
    answered(200).await;
    let second = Running::start(Echo::default(), log.clone());
    let third = Running::start(Echo::default(), log.clone());
    eventually("each has one partition", || async {
        let mut all = BTreeSet::new();
        for member in [&first, &second, &third] {
            let Ok(mine) = member.handle.call(|echo, _| echo.assigned.clone()).await else { return false };
            if mine.len() != 1 {
                return false;
            }
            all.extend(mine);
        }
        all.len() == 3
    })
    .await;
    log.append((200..500).map(created).collect()).await.unwrap();
    answered(500).await;
    second.stop().await.unwrap();
    third.kill().await;
    log.append((500..800).map(created).collect()).await.unwrap();
    answered(800).await;
    assert_eq!(first.look(|echo| echo.assigned.len()).await, 3);
    assert!(orders_in(log.as_ref(), ANSWERS).await.values().all(|count| *count == 1));
    first.stop().await.unwrap();
}
