//! The sole writer: election, fencing, reading back, resuming.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kbnt_application::Topic;
use kbnt_application::ports::CallError;
use kbnt_application::ports::EventLog;
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::RunError;

use tokio::sync::Semaphore;

use crate::support::outside::{Running, Turns};
use kbnt_testkit::faulty::Faulty;
use kbnt_testkit::machines::Solo;
use kbnt_testkit::{election, eventually, order, orders_in, placed};

const OUTPUT: Topic = Topic::InventoryEvents;

async fn refused(log: &dyn EventLog, count: usize) {
    eventually("all are refused", || async { orders_in(log, OUTPUT).await.len() == count }).await;
}

#[tokio::test]
async fn it_goes_on_where_its_own_records_end() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..200).map(placed).collect()).await.unwrap();
    let first = Running::start(Solo::new("a"), log.clone());
    refused(log.as_ref(), 200).await;
    first.kill().await;
    log.append((200..250).map(placed).collect()).await.unwrap();
    let second = Running::start(Solo::new("b"), log.clone());
    refused(log.as_ref(), 250).await;
    assert_eq!(second.look(|solo| solo.term).await, 2);
    assert_eq!(second.observed.handled.load(Ordering::SeqCst), 50);
    assert!(orders_in(log.as_ref(), OUTPUT).await.values().all(|count| *count == 1));
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_newer_writer_stops_the_older_one() {
    let log = Arc::new(EmbeddedLog::in_memory());
    let old = Running::start(Solo::new("a"), log.clone());
    old.ready().await;
    let new = Running::start(Solo::new("b"), log.clone());
    new.ready().await;
    let handle = old.handle.clone();
    let end = old.ended().await;
    assert!(matches!(&end, Err(RunError::Fenced(writer)) if writer.term == 2), "{end:?}");
    assert!(handle.call(|_, _| ()).await.is_err());
    log.append((0..10).map(placed).collect()).await.unwrap();
    refused(log.as_ref(), 10).await;
    new.stop().await.unwrap();
}

#[tokio::test]
async fn what_lies_above_a_newer_election_is_not_acknowledged() {
    let log = Faulty::new(EmbeddedLog::in_memory());
    let running = Running::start(Solo::new("a"), log.clone());
    running.ready().await;
    log.set_open(false);
    let begun = log.begun.load(Ordering::SeqCst);
    let handle = running.handle.clone();
    let call = tokio::spawn(async move { handle.call(|solo, outbox| solo.refuse(order(1), outbox)).await });
    eventually("the append hangs", || async { log.begun.load(Ordering::SeqCst) > begun }).await;
    let elections = (0..3).map(|partition| election(partition, 9, "other")).collect();
    let usurper = log.clone();
    let elected = tokio::spawn(async move { usurper.append(elections).await });
    eventually("the usurper hangs too", || async { log.begun.load(Ordering::SeqCst) > begun + 1 }).await;
    log.set_open(true);
    elected.await.unwrap().unwrap();
    let answer = call.await.unwrap();
    let end = running.ended().await;
    assert!(matches!(&end, Err(RunError::Fenced(writer)) if writer.term == 9), "{end:?}");
    // Either its record came first and counts, or the caller must not take it as written.
    let mine = orders_in(log.as_ref(), OUTPUT).await.len();
    assert!(
        answer == Ok(()) || matches!(answer, Err(CallError::Fenced | CallError::Stopped)),
        "{answer:?} {mine}"
    );
}

#[tokio::test]
async fn its_term_is_above_all_that_it_finds() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append(vec![election(0, 7, "z"), election(1, 4, "y")]).await.unwrap();
    let running = Running::start(Solo::new("a"), log.clone());
    running.ready().await;
    assert_eq!(running.look(|solo| solo.term).await, 8);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn who_stands_by_goes_on_where_the_writer_ends() {
    let log = Arc::new(EmbeddedLog::in_memory());
    let turns = Arc::new(Turns(Semaphore::new(1)));
    let active = Running::in_turn(Solo::new("a"), log.clone(), turns.clone());
    active.ready().await;
    let standby = Running::in_turn(Solo::new("b"), log.clone(), turns.clone());
    standby.stands_by().await;
    log.append((0..100).map(placed).collect()).await.unwrap();
    refused(log.as_ref(), 100).await;
    assert!(!standby.handle.is_ready(), "it answers nothing before its turn");
    active.stop().await.unwrap();
    standby.ready().await;
    assert!(!standby.handle.is_standing_by());
    log.append((100..150).map(placed).collect()).await.unwrap();
    refused(log.as_ref(), 150).await;
    assert_eq!(standby.look(|solo| (solo.term, solo.refused.len())).await, (2, 150));
    assert_eq!(standby.observed.handled.load(Ordering::SeqCst), 50, "what the first one answered is folded");
    assert!(orders_in(log.as_ref(), OUTPUT).await.values().all(|count| *count == 1));
    standby.stop().await.unwrap();
}

#[tokio::test]
async fn a_writer_whose_turn_has_passed_stops_at_the_newer_election() {
    let log = Arc::new(EmbeddedLog::in_memory());
    let turns = Arc::new(Turns(Semaphore::new(1)));
    let old = Running::in_turn(Solo::new("a"), log.clone(), turns.clone());
    old.ready().await;
    let new = Running::in_turn(Solo::new("b"), log.clone(), turns.clone());
    new.stands_by().await;
    // Like a lease that expires while its holder is paused.
    turns.0.add_permits(1);
    new.ready().await;
    let end = old.ended().await;
    assert!(matches!(&end, Err(RunError::Fenced(writer)) if writer.term == 2), "{end:?}");
    new.stop().await.unwrap();
}
