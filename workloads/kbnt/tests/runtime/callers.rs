//! Calls are answered when they are durable, and refused while nobody can answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kbnt_application::Topic;
use kbnt_application::ports::CallError;
use kbnt_application::ports::EventLog as _;
use kbnt_embedded::EmbeddedLog;

use crate::support::outside::Running;
use kbnt_testkit::faulty::Faulty;
use kbnt_testkit::machines::Solo;
use kbnt_testkit::{contents, eventually, order, placed};

#[tokio::test]
async fn a_call_is_answered_only_when_what_it_wrote_is_durable() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    let running = Running::start(Solo::new("a"), log.clone());
    running.ready().await;
    log.set_open(false);
    let begun = log.begun.load(Ordering::SeqCst);
    let handle = running.handle.clone();
    let mut call =
        tokio::spawn(async move { handle.write(|solo, outbox| solo.refuse(order(1), outbox)).await });
    eventually("the append has begun", || async { log.begun.load(Ordering::SeqCst) > begun }).await;
    assert!(tokio::time::timeout(Duration::from_millis(50), &mut call).await.is_err(), "answered too early");
    log.set_open(true);
    let ((), positions) = call.await.unwrap().unwrap();
    let written = contents(log.as_ref(), Topic::InventoryEvents).await;
    let at = positions[0];
    assert_eq!(written[&at.partition][usize::try_from(at.offset).unwrap()].at, at);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn many_callers_share_appends_and_each_gets_its_own_positions() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    let running = Running::start(Solo::new("a"), log.clone());
    running.ready().await;
    let before = log.begun.load(Ordering::SeqCst);
    let calls = (0..500).map(|n| {
        let handle = running.handle.clone();
        async move { (n, handle.write(move |solo, outbox| solo.refuse(order(n), outbox)).await.unwrap().1) }
    });
    let answers = futures::future::join_all(calls).await;
    let written = contents(log.as_ref(), Topic::InventoryEvents).await;
    for (n, positions) in answers {
        let [at] = positions[..] else { panic!("{positions:?}") };
        let record = &written[&at.partition][usize::try_from(at.offset).unwrap()];
        let subject = kbnt_application::message::Subject::of(&record.message.event);
        assert_eq!(subject, kbnt_application::message::Subject::Order(order(n)));
    }
    assert!(log.begun.load(Ordering::SeqCst) - before < 100, "calls were not batched");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn batches_are_as_far_apart_as_the_log_wants() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    log.pace.store(300, Ordering::SeqCst);
    let running = Running::start(Solo::new("a"), log.clone());
    running.ready().await;
    let started = Instant::now();
    running.handle.write(|solo, outbox| solo.refuse(order(1), outbox)).await.unwrap();
    let looked = running.handle.call(|_, _| Instant::now()).await.unwrap();
    assert!(looked.duration_since(started) >= Duration::from_millis(300), "the second batch began too early");
    let idle = running.handle.call(|_, _| Instant::now()).await.unwrap();
    assert!(idle.duration_since(looked) < Duration::from_millis(300), "nothing was written, and it rested");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_full_batch_puts_off_nothing() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    // Longer than any step may take here: if a full batch rested, the orders behind it would never be
    // answered.
    log.pace.store(600_000, Ordering::SeqCst);
    log.append((0..2_500).map(placed).collect()).await.unwrap();
    let running = Running::start(Solo::new("a"), log.clone());
    eventually("every order is answered", || async {
        let written = contents(log.as_ref(), Topic::InventoryEvents).await;
        written.values().map(Vec::len).sum::<usize>() == 3 + 2_500
    })
    .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_waits_for_a_machine_that_is_not_ready_or_gone() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    log.set_open(false);
    let running = Running::start(Solo::new("a"), log.clone());
    assert_eq!(running.handle.call(|_, _| ()).await, Err(CallError::NotReady));
    log.set_open(true);
    running.ready().await;
    let handle = running.handle.clone();
    running.stop().await.unwrap();
    assert!(matches!(handle.call(|_, _| ()).await, Err(CallError::NotReady | CallError::Stopped)));
}

#[tokio::test]
async fn a_violated_invariant_stops_the_writer_before_it_writes() {
    let log = Arc::new(EmbeddedLog::in_memory());
    let running = Running::start(Solo::new("a"), log.clone());
    running.ready().await;
    let answer = running.handle.call(|solo, outbox| {
        solo.broken = true;
        solo.refuse(order(1), outbox);
    });
    assert_eq!(answer.await, Err(CallError::Stopped));
    let end = running.ended().await;
    assert!(matches!(end, Err(kbnt_runtime::RunError::Broken(_))), "{end:?}");
    let written: usize = contents(log.as_ref(), Topic::InventoryEvents).await.values().map(Vec::len).sum();
    assert_eq!(written, 3, "only the elections");
}
