//! Members of a group: recovery, faults of the log, rebalance.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kbnt_application::Topic;
use kbnt_application::ports::{EventLog, RawRecord};
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::RunError;
use kbnt_wire::raw::{RawAppend, RawLog as _};

use crate::support::outside::Running;
use kbnt_testkit::faulty::Faulty;
use kbnt_testkit::machines::Echo;
use kbnt_testkit::{created, eventually, orders_in};

const ANSWERS: Topic = Topic::NotificationEvents;

async fn answers(log: &dyn EventLog, count: u32) {
    eventually("all are answered", || async { orders_in(log, ANSWERS).await.len() == count as usize }).await;
}

#[tokio::test]
async fn each_input_is_answered_once_over_restarts_that_lost_all_commits() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    log.forget_commits.store(true, Ordering::SeqCst);
    log.append((0..300).map(created).collect()).await.unwrap();
    let first = Running::start(Echo::default(), log.clone());
    answers(log.as_ref(), 300).await;
    first.kill().await;
    log.append((300..400).map(created).collect()).await.unwrap();
    let second = Running::start(Echo::default(), log.clone());
    answers(log.as_ref(), 400).await;
    assert_eq!(
        second.look(|echo| echo.folded).await,
        300,
        "all answers were folded before anything was handled"
    );
    second.stop().await.unwrap();
    assert!(orders_in(log.as_ref(), ANSWERS).await.values().all(|count| *count == 1));
}

#[tokio::test]
async fn committed_inputs_are_not_read_again() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..50).map(created).collect()).await.unwrap();
    let first = Running::start(Echo::default(), log.clone());
    answers(log.as_ref(), 50).await;
    first.stop().await.unwrap();
    log.append(vec![created(50)]).await.unwrap();
    let second = Running::start(Echo::default(), log.clone());
    answers(log.as_ref(), 51).await;
    assert_eq!(second.observed.handled.load(Ordering::SeqCst), 1);
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_that_fails_for_a_while_loses_nothing() {
    let inner = EmbeddedLog::in_memory();
    let log = Faulty::new(inner.clone());
    let running = Running::start(Echo::default(), log.clone());
    running.ready().await;
    for round in 1..=3 {
        log.torn_appends.store(3, Ordering::SeqCst);
        inner.append((round * 100..(round + 1) * 100).map(created).collect()).await.unwrap();
        answers(&inner, round * 100).await;
        assert_eq!(log.torn_appends.load(Ordering::SeqCst), 0, "no append was torn");
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_not_ready_while_the_log_is_away_and_again_when_it_is_back() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    let running = Running::start(Echo::default(), log.clone());
    running.ready().await;
    log.away.store(true, Ordering::SeqCst);
    let mut progress = running.handle.progress();
    progress.wait_for(|progress| !progress.ready).await.unwrap();
    log.away.store(false, Ordering::SeqCst);
    progress.wait_for(|progress| progress.ready).await.unwrap();
    assert!(running.observed.retried.load(Ordering::SeqCst) > 0);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_member_is_not_ready_before_the_group_has_said_what_is_whose() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    log.undecided.store(true, Ordering::SeqCst);
    let running = Running::start(Echo::default(), log.clone());
    eventually("it has asked", || async { log.asked.load(Ordering::SeqCst) > 10 }).await;
    assert!(!running.handle.is_ready());
    log.undecided.store(false, Ordering::SeqCst);
    running.ready().await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_run() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    log.append(vec![created(0)]).await.unwrap();
    log.refuse.store(true, Ordering::SeqCst);
    let end = Running::start(Echo::default(), log.clone()).ended().await;
    assert!(matches!(end, Err(RunError::Log(_))), "{end:?}");
    assert!(orders_in(log.as_ref(), ANSWERS).await.is_empty());
}

#[tokio::test]
async fn a_log_that_is_away_does_not_hold_up_the_shutdown() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    log.append(vec![created(0)]).await.unwrap();
    log.set_open(false);
    let running = Running::start(Echo::default(), log.clone());
    eventually("an append hangs", || async { log.begun.load(Ordering::SeqCst) == 2 }).await;
    let started = std::time::Instant::now();
    running.stop().await.unwrap();
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn records_that_nobody_understands_are_told_whole_and_passed_over() {
    let log = Arc::new(EmbeddedLog::in_memory());
    let record = RawRecord { value: Some(b"{\"eventName\":\"Nonsense\"".to_vec()), ..RawRecord::default() };
    let poison = RawAppend { topic: Topic::OrderEvents, to: Some(0), record };
    log.append_raw(vec![poison.clone(), poison]).await.unwrap();
    log.append((0..30).map(created).collect()).await.unwrap();
    let running = Running::start(Echo::default(), log.clone());
    answers(log.as_ref(), 30).await;
    let unreadable = running.observed.unreadable.lock().unwrap().clone();
    assert_eq!(unreadable.len(), 2);
    assert!(unreadable[0].raw.value.as_ref().unwrap().starts_with(b"{\"eventName\""));
    assert!(unreadable[0].reason.starts_with("not an event"), "{}", unreadable[0].reason);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_next_member_takes_over_when_the_first_leaves() {
    let log = Arc::new(EmbeddedLog::in_memory());
    let first = Running::start(Echo::default(), log.clone());
    first.ready().await;
    let second = Running::start(Echo::default(), log.clone());
    second.ready().await;
    log.append((0..100).map(created).collect()).await.unwrap();
    answers(log.as_ref(), 100).await;
    assert_eq!(second.observed.handled.load(Ordering::SeqCst), 0);
    first.stop().await.unwrap();
    log.append((100..200).map(created).collect()).await.unwrap();
    answers(log.as_ref(), 200).await;
    assert_eq!(second.observed.handled.load(Ordering::SeqCst), 100);
    second.stop().await.unwrap();
}
