//! Effects are performed only when durable, and those in progress hold the offsets back.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use kbnt_application::ports::EventLog as _;
use kbnt_application::{Effect, EffectOutcome, Topic};
use kbnt_domain::OrderId;
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::EffectPerformer;

use crate::support::outside::{Gate, Running};
use kbnt_testkit::machines::Echo;
use kbnt_testkit::{created, eventually, order, orders_in};

fn echo() -> Echo {
    Echo { with_effect: true, ..Echo::default() }
}

#[tokio::test]
async fn answers_come_when_effects_end() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..1_000).map(created).collect()).await.unwrap();
    let gate = Gate::new(0);
    let running = Running::with(echo(), log.clone(), gate.clone());
    eventually("as many are under way as may be", || async { gate.performed.load(Ordering::SeqCst) == 256 })
        .await;
    assert!(orders_in(log.as_ref(), Topic::NotificationEvents).await.is_empty());
    gate.permits.add_permits(1_000);
    eventually("all are answered", || async {
        orders_in(log.as_ref(), Topic::NotificationEvents).await.len() == 1_000
    })
    .await;
    running.stop().await.unwrap();
}

/// The effects of these orders wait for a timer that never fires.
struct Timers(HashSet<OrderId>, Arc<Gate>);

#[async_trait]
impl EffectPerformer for Timers {
    async fn perform(&self, effect: &Effect) -> EffectOutcome {
        if !self.takes_place(effect) {
            std::future::pending::<()>().await;
        }
        self.1.perform(effect).await
    }

    fn takes_place(&self, effect: &Effect) -> bool {
        !self.0.contains(&effect.order())
    }
}

#[tokio::test]
async fn what_only_waits_for_a_timer_stops_nobody() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..1_100).map(created).collect()).await.unwrap();
    let gate = Gate::new(100);
    let running =
        Running::with(echo(), log.clone(), Arc::new(Timers((0..1_000).map(order).collect(), gate.clone())));
    eventually("the others are done", || async {
        orders_in(log.as_ref(), Topic::NotificationEvents).await.len() == 100
    })
    .await;
    drop(running);
}

#[tokio::test]
async fn while_the_world_outside_is_slow_the_inputs_wait_in_the_log() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..15_000).map(created).collect()).await.unwrap();
    let gate = Gate::new(0);
    let running = Running::with(echo(), log.clone(), gate.clone());
    running.ready().await;
    let in_hand = || running.look(|echo| echo.under_way.len());
    eventually("as many are in hand as may be", || async { in_hand().await >= 10_000 }).await;
    // It reads at most one batch at each of these.
    for _ in 0..10 {
        assert!(in_hand().await < 11_000);
    }
    gate.permits.add_permits(15_000);
    eventually("all are answered", || async { running.look(|echo| echo.answered.len()).await == 15_000 })
        .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_under_way_at_a_crash_is_taken_up_again() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..20).map(created).collect()).await.unwrap();
    let first = Running::with(echo(), log.clone(), Gate::new(5));
    eventually("five are answered", || async {
        orders_in(log.as_ref(), Topic::NotificationEvents).await.len() == 5
    })
    .await;
    first.kill().await;
    let second = Running::with(echo(), log.clone(), Gate::new(1_000));
    eventually("all are answered", || async {
        orders_in(log.as_ref(), Topic::NotificationEvents).await.len() == 20
    })
    .await;
    second.stop().await.unwrap();
    assert!(orders_in(log.as_ref(), Topic::NotificationEvents).await.values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_shutdown_waits_for_what_is_under_way() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..20).map(created).collect()).await.unwrap();
    let gate = Gate::new(0);
    let running = Running::with(echo(), log.clone(), gate.clone());
    eventually("all are under way", || async { gate.performed.load(Ordering::SeqCst) == 20 }).await;
    let stopping = tokio::spawn(running.stop());
    gate.permits.add_permits(20);
    stopping.await.unwrap().unwrap();
    assert_eq!(orders_in(log.as_ref(), Topic::NotificationEvents).await.len(), 20);
}
