//! Appending and reading.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kbnt_application::message::partition_of;
use kbnt_application::ports::{EventLog as _, Fetched, LogError, RawRecord};
use kbnt_application::{Append, Position, Topic};
use kbnt_domain::Span;
use kbnt_wire::raw::{RawAppend, RawLog as _};

use crate::support::cluster::Cluster;
use crate::support::outside::Running;
use kbnt_testkit::machines::{Echo, Solo};
use kbnt_testkit::{contents, created, eventually, order, orders_in, placed};

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn what_is_appended_is_read_back_whole_in_order_from_the_partition_of_its_key() {
    let log = Cluster::with_topics("round-trip").await.log();
    let batch: Vec<_> = (0..500).map(created).collect();
    let positions = log.append(batch.clone()).await.unwrap();
    let read = contents(&log, Topic::OrderEvents).await;
    for (n, (append, at)) in (0..).zip(batch.iter().zip(&positions)) {
        assert_eq!(at.partition, partition_of(order(n).to_string(), 3), "the partition of order {n}");
        let record = &read[&at.partition][usize::try_from(at.offset).unwrap()];
        assert_eq!((&record.message, record.source, record.at), (&append.message, append.source, *at));
    }
    assert_eq!(read.values().map(Vec::len).sum::<usize>(), 500);
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn callers_at_once_learn_where_their_own_records_are() {
    let log = Cluster::with_topics("at-once").await.log();
    let appends = (0..1_000).map(|n| {
        let log = log.clone();
        async move { (n, log.append(vec![created(n), created(n)]).await.unwrap()) }
    });
    let written = futures::future::join_all(appends).await;
    let read = contents(&log, Topic::OrderEvents).await;
    for (n, positions) in written {
        let [first, second] = positions[..] else { panic!("{positions:?}") };
        assert!(first.partition == second.partition && first.offset < second.offset, "{first} {second}");
        for at in [first, second] {
            let record = &read[&at.partition][usize::try_from(at.offset).unwrap()];
            assert_eq!((record.message.id, record.at), (created(n).message.id, at));
        }
    }
    assert_eq!(read.values().map(Vec::len).sum::<usize>(), 2_000);
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn callers_who_give_up_stop_nobody() {
    let log = Cluster::with_topics("given-up").await.log();
    for round in 0..20 {
        assert!(log.append(vec![created(0)]).now_or_never().is_none(), "nothing is written at once");
        // The append that is given up is sometimes the only one, sometimes not.
        tokio::time::sleep(Duration::from_millis(round % 4)).await;
        let written = tokio::time::timeout(Duration::from_secs(20), log.append(vec![created(0)]));
        assert_eq!(written.await.expect("in time").unwrap().len(), 1);
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn what_a_process_reads_back_is_what_others_read() {
    let cluster = Cluster::with_topics("own").await;
    let (log, other) = (cluster.log(), cluster.log());
    let first = |partition| Position { topic: Topic::OrderEvents, partition, offset: 0 };
    let mut reader = log.read((0..3).map(first).collect()).await.unwrap();
    let mut read = Vec::new();
    for round in 0..20 {
        let source = (round % 2 == 0).then(|| first(round));
        let append = |n| Append { source, ..created(n) };
        log.append((50 * round..50 * (round + 1)).map(append).collect()).await.unwrap();
        read.extend(reader.next(1_000, Span::from_millis(10)).await.unwrap());
    }
    while read.len() < 1_000 {
        read.extend(reader.next(1_000, Span::from_secs(1)).await.unwrap());
    }
    let others = contents(&other, Topic::OrderEvents).await;
    for fetched in read {
        let Fetched::Record(read) = fetched else { panic!("{fetched:?}") };
        let there = &others[&read.at.partition][usize::try_from(read.at.offset).unwrap()];
        assert_eq!((read.at, &read.message, read.source), (there.at, &there.message, there.source));
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn what_is_too_much_for_one_request_keeps_its_order() {
    let log = Cluster::with_topics("portions").await.log();
    let record = |n: u64| {
        let value = format!("{n} {}", "x".repeat(50_000)).into_bytes();
        RawRecord { value: Some(value), ..RawRecord::default() }
    };
    let to = |n: u64| RawAppend {
        topic: Topic::OrderEvents,
        to: Some(u32::try_from(n % 3).unwrap()),
        record: record(n / 3),
    };
    let positions = log.append_raw((0..150).map(to).collect()).await.unwrap();
    for (n, at) in (0..).zip(positions) {
        assert_eq!((u64::from(at.partition), at.offset), (n % 3, n / 3));
    }
    let mut reader =
        log.read(vec![Position { topic: Topic::OrderEvents, partition: 1, offset: 0 }]).await.unwrap();
    let mut read = Vec::new();
    while read.len() < 50 {
        read.extend(reader.next(10, Span::from_secs(1)).await.unwrap());
    }
    for (n, fetched) in (0..).zip(&read) {
        let Fetched::Unreadable(unreadable) = fetched else { panic!("{fetched:?}") };
        assert_eq!((unreadable.at.offset, &unreadable.raw.value), (n, &record(n).value));
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn records_of_other_programs_are_understood_or_kept_whole() {
    let log = Cluster::with_topics("foreign").await.log();
    let plain = format!(
        r#"{{"eventName":"PlaceOrderCommand","payload":{{"orderId":"{}","userId":"USER-1",
            "items":[{{"productId":"PROD-001","quantity":3}}],"payment":{{"method":"pix"}}}}}}"#,
        order(2)
    );
    // The key differs; the order itself belongs to this partition.
    let record = |value: &[u8]| RawAppend {
        topic: Topic::OrderEvents,
        to: Some(0),
        record: RawRecord {
            key: Some(b"k".to_vec()),
            value: Some(value.to_vec()),
            headers: vec![("x".into(), None), ("y".into(), Some(b"1".to_vec()))],
            ..RawRecord::default()
        },
    };
    log.append_raw(vec![record(plain.as_bytes()), record(b"\xff not json")]).await.unwrap();
    let mut reader =
        log.read(vec![Position { topic: Topic::OrderEvents, partition: 0, offset: 0 }]).await.unwrap();
    let mut read = Vec::new();
    while read.len() < 2 {
        read.extend(reader.next(10, Span::from_secs(1)).await.unwrap());
    }
    assert!(
        matches!(&read[0], Fetched::Record(r) if matches!(r.message.event.business(), Some(kbnt_domain::Event::PlaceOrder(_))))
    );
    let Fetched::Unreadable(bad) = &read[1] else { panic!("{:?}", read[1]) };
    let expected = record(b"\xff not json").record;
    assert_eq!(
        (&bad.raw.key, &bad.raw.value, &bad.raw.headers),
        (&expected.key, &expected.value, &expected.headers)
    );
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_that_is_missing_is_waited_for() {
    let cluster = Cluster::empty("missing");
    let log = cluster.log();
    let bounds = log.bounds(Topic::InventoryEvents, 0).await;
    assert!(matches!(bounds, Err(LogError::NoSuchPartition { .. })), "{bounds:?}");
    let id = log.topic_id(Topic::InventoryEvents).await;
    assert!(matches!(id, Err(LogError::NoSuchPartition { .. })), "{id:?}");
    cluster.create(&[Topic::InventoryEvents]).await;
    let running = Running::start(Solo::new("a"), Arc::new(log.clone()));
    running.ready().await;
    cluster.create(&[Topic::OrderEvents, Topic::UserEvents, Topic::PaymentEvents]).await;
    log.append((0..50).map(placed).collect()).await.unwrap();
    let started = std::time::Instant::now();
    eventually("all are refused", || async { orders_in(&log, Topic::InventoryEvents).await.len() == 50 })
        .await;
    assert!(started.elapsed() < std::time::Duration::from_secs(5), "{:?}", started.elapsed());
    running.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_topic_whose_records_have_all_expired_is_folded_at_once() {
    let cluster = Cluster::with_topics("expired").await;
    let log = cluster.log();
    log.append((0..50).map(created).collect()).await.unwrap();
    let first = Running::start(Echo::default(), Arc::new(cluster.log()));
    eventually("all are answered", || async { orders_in(&log, Topic::NotificationEvents).await.len() == 50 })
        .await;
    first.stop().await.unwrap();
    cluster.expire(Topic::NotificationEvents).await;
    log.append((50..60).map(created).collect()).await.unwrap();
    let second = Running::start(Echo::default(), Arc::new(cluster.log()));
    second.ready().await;
    eventually("the new ones are answered", || async {
        orders_in(&log, Topic::NotificationEvents).await.len() == 10
    })
    .await;
    assert_eq!(second.look(|echo| echo.folded).await, 0);
    second.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_writer_goes_on_where_its_records_end() {
    let log = Cluster::with_topics("writer").await.log();
    log.append((0..100).map(placed).collect()).await.unwrap();
    let first = Running::start(Solo::new("a"), Arc::new(log.clone()));
    eventually("all are refused", || async { orders_in(&log, Topic::InventoryEvents).await.len() == 100 })
        .await;
    first.kill().await;
    log.append((100..150).map(placed).collect()).await.unwrap();
    let second = Running::start(Solo::new("b"), Arc::new(log.clone()));
    second.ready().await;
    eventually("all are refused", || async { orders_in(&log, Topic::InventoryEvents).await.len() == 150 })
        .await;
    assert_eq!(second.look(|solo| solo.term).await, 2);
    assert!(orders_in(&log, Topic::InventoryEvents).await.values().all(|count| *count == 1));
    second.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn log_lines_arrive_and_cost_nobody_anything() {
    let log = Cluster::with_topics("lines").await.log();
    let line = RawAppend {
        topic: Topic::ApplicationLogs,
        to: None,
        record: RawRecord {
            key: Some(b"order-service".to_vec()),
            value: Some(b"{}".to_vec()),
            ..RawRecord::default()
        },
    };
    let started = std::time::Instant::now();
    let taken = (0..20_000).filter(|_| log.offer(line.clone())).count();
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    eventually("what was taken has arrived", || async {
        let ends = [log.bounds(Topic::ApplicationLogs, 0).await, log.bounds(Topic::ApplicationLogs, 1).await];
        let arrived: u64 = ends.into_iter().map(|bounds| bounds.unwrap_or_default().end).sum();
        arrived + log.lost_lines() == taken as u64
    })
    .await;
}
