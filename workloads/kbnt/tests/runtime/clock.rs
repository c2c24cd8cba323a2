//! A clock that is set, and corrected.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kbnt_adapters::clock::{SystemClock, WatchedClock};
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::ports::CallError;
use kbnt_application::ports::{Clock, EventLog};
use kbnt_application::{Delivered, Topic};
use kbnt_domain::event::{Basket, Event, Line, PaymentMethod, UserValidated};
use kbnt_domain::stock::Declaration;
use kbnt_domain::{Currency, Money, Quantity, Span, Timestamp};
use kbnt_embedded::EmbeddedLog;

use crate::support::outside::Running;
use kbnt_testkit::{DEADLINE, append, contents, eventually, order};

const HOUR: i64 = 3_600_000;
const TTL: Span = Span::from_minutes(15);

/// A machine's clock with an offset in milliseconds, which the test sets.
#[derive(Default)]
struct Wall(AtomicI64);

impl Wall {
    fn set(&self, off: i64) {
        self.0.store(off, Ordering::SeqCst);
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.0.load(Ordering::SeqCst))
    }
}

fn start(log: &Arc<EmbeddedLog>, wall: &Arc<Wall>) -> Running<InventoryMachine> {
    let clock = Arc::new(WatchedClock::watching(wall.clone(), Duration::from_mins(5)));
    let config = InventoryConfig { ttl: TTL, ..InventoryConfig::new(format!("{:?}", SystemClock.now())) };
    Running::by_clock(InventoryMachine::new(config), log.clone(), clock)
}

fn declaration(received: u64) -> Declaration {
    Declaration {
        product: "PROD-001".parse().unwrap(),
        name: "Smartphone X".into(),
        unit_price: Money::from_minor(100, Currency::BRL).unwrap(),
        received,
        low_stock_threshold: Some(0),
        source: "test".parse().unwrap(),
    }
}

async fn declare(running: &Running<InventoryMachine>, received: u64) -> Result<(), CallError> {
    let declared =
        running.handle.call(move |machine, outbox| machine.declare(&declaration(received), outbox)).await;
    declared.map(|level| assert_eq!(level.unwrap().level.real, received))
}

/// A customer orders, with the right time.
async fn ask(log: &EmbeddedLog, n: u32) {
    let line = Line { product: "PROD-001".parse().unwrap(), quantity: Quantity::new(1).unwrap() };
    let payment = PaymentMethod { method: "pix".into(), token: None };
    let basket = Basket { user: "USER-1".parse().unwrap(), lines: vec![line], payment };
    let event = UserValidated { order: order(n), basket, placed_at: SystemClock.now() };
    log.append(vec![append(&format!("ask-{n}"), event)]).await.unwrap();
}

async fn inventory_events(log: &EmbeddedLog) -> Vec<Delivered> {
    contents(log, Topic::InventoryEvents).await.into_values().flatten().collect()
}

/// The reservation of an order. It must begin at the right time and hold for the right time.
async fn reserved(log: &EmbeddedLog, n: u32) {
    let of = |record: &Delivered| match record.message.event.business() {
        Some(Event::VirtualStockReserved(event)) if event.order == order(n) => {
            Some((record.message.at, event.expires_at))
        }
        Some(Event::ReservationRefused(event)) if event.order == order(n) => {
            panic!("refused: {}", event.reason)
        }
        _ => None,
    };
    eventually("it is reserved", || async {
        inventory_events(log).await.iter().any(|record| of(record).is_some())
    })
    .await;
    let (at, expires_at) = inventory_events(log).await.iter().find_map(of).unwrap();
    assert_eq!(expires_at, at + TTL);
    let off = at.as_millis().abs_diff(SystemClock.now().as_millis());
    assert!(off < 60_000, "decided {off} ms from now");
}

async fn stops_deciding(running: &Running<InventoryMachine>) {
    let mut progress = running.handle.progress();
    let waits = progress.wait_for(|progress| !progress.ready);
    tokio::time::timeout(DEADLINE, waits).await.expect("it goes on").unwrap();
}

#[tokio::test]
async fn nothing_is_decided_while_the_clock_is_off_and_all_goes_on_once_it_is_put_right() {
    let (log, wall) = (Arc::new(EmbeddedLog::in_memory()), Arc::<Wall>::default());
    let running = start(&log, &wall);
    running.ready().await;
    declare(&running, 100).await.unwrap();
    ask(&log, 0).await;
    reserved(&log, 0).await;
    for (n, off) in (1..).zip([25 * HOUR, -3 * HOUR, 3 * HOUR, 25 * HOUR]) {
        let before = inventory_events(&log).await.len();
        wall.set(off);
        stops_deciding(&running).await;
        ask(&log, n).await;
        assert_eq!(declare(&running, 200).await, Err(CallError::NotReady));
        assert_eq!(inventory_events(&log).await.len(), before, "{off}");
        wall.set(0);
        reserved(&log, n).await;
        running.ready().await;
    }
    let expired = inventory_events(&log)
        .await
        .iter()
        .any(|r| matches!(r.message.event.business(), Some(Event::ReservationExpired(_))));
    assert!(!expired, "none was due");
    // An offset below the limit is only followed.
    wall.set(4 * 60_000);
    ask(&log, 9).await;
    eventually("it is reserved", || async {
        let reserved =
            |r: &Delivered| matches!(r.message.event.business(), Some(Event::VirtualStockReserved(e)) if e.order == order(9));
        inventory_events(&log).await.iter().any(reserved)
    })
    .await;
    declare(&running, 101).await.unwrap();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_while_the_clock_is_off_is_no_harm_once_it_is_put_right() {
    for off in [25 * HOUR, -3 * HOUR] {
        let (log, wall) = (Arc::new(EmbeddedLog::in_memory()), Arc::<Wall>::default());
        let first = start(&log, &wall);
        first.ready().await;
        declare(&first, 100).await.unwrap();
        ask(&log, 0).await;
        reserved(&log, 0).await;
        first.kill().await;
        wall.set(off);
        let second = start(&log, &wall);
        second.ready().await;
        declare(&second, 101).await.unwrap();
        wall.set(0);
        ask(&log, 1).await;
        reserved(&log, 1).await;
        second.ready().await;
        // The clock is judged as before, and is off again.
        wall.set(off);
        stops_deciding(&second).await;
        second.stop().await.unwrap();
        // Records with the wrong time do not make those of the next process stale.
        wall.set(0);
        let third = start(&log, &wall);
        third.ready().await;
        ask(&log, 2).await;
        reserved(&log, 2).await;
        third.stop().await.unwrap();
    }
}
