//! Read models: folded from the first record or the newest ones, without those of fenced writers.

use std::collections::BTreeSet;
use std::sync::Arc;

use kbnt_application::event::Writer;
use kbnt_application::message::Subject;
use kbnt_application::ports::EventLog as _;
use kbnt_application::{Delivered, Projection, Topic};
use kbnt_domain::OrderId;
use kbnt_domain::Reason;
use kbnt_domain::event::ReservationRefused;
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::ProjectionRunner;
use tokio_util::sync::CancellationToken;

use kbnt_testkit::{append, election, eventually, order};

/// The orders of inventory-events, or of so many of its newest records.
#[derive(Default)]
struct Orders(BTreeSet<OrderId>, Option<u64>);

impl Projection for Orders {
    fn topics(&self) -> &'static [Topic] {
        &[Topic::InventoryEvents]
    }

    fn looks_back(&self) -> Option<u64> {
        self.1
    }

    fn apply(&mut self, record: &Delivered) {
        if let Subject::Order(order) = Subject::of(&record.message.event) {
            self.0.insert(order);
        }
    }
}

/// A record by `writer`.
fn refused(n: u32, term: u64, name: &str) -> kbnt_application::Append {
    let user = "USER-1".parse().unwrap();
    let event = ReservationRefused { order: order(n), user, reason: Reason::StaleCommand, fingerprint: 0 };
    let mut append = append(&format!("refused/{n}/{term}"), event);
    let message = Arc::make_mut(&mut append.message);
    message.writer = Some(Arc::new(Writer { term, name: name.into() }));
    append
}

#[tokio::test]
async fn it_sees_all_that_counts_and_says_how_far_it_is() {
    let log = Arc::new(EmbeddedLog::in_memory());
    let elect = |term, name| (0..3).map(move |partition| election(partition, term, name));
    log.append(elect(1, "a").collect()).await.unwrap();
    log.append((0..100).map(|n| refused(n, 1, "a")).collect()).await.unwrap();
    log.append(elect(2, "b").collect()).await.unwrap();
    log.append((100..200).map(|n| refused(n, 1, "a")).collect()).await.unwrap();
    let (runner, view) = ProjectionRunner::new(Orders::default(), log.clone());
    assert!(!view.is_ready());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(runner.run(shutdown.clone()));
    eventually("it is ready", || async { view.is_ready() }).await;
    assert_eq!(view.read(|orders| orders.0.len()), 100, "what the fenced writer wrote does not count");
    let mut changed = view.changed();
    changed.borrow_and_update();
    let positions = log.append((200..300).map(|n| refused(n, 2, "b")).collect()).await.unwrap();
    for position in positions {
        view.wait_for(position).await;
    }
    assert_eq!(view.read(|orders| orders.0.len()), 200);
    assert!(changed.has_changed().unwrap());
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_begins_with_the_newest_records_if_these_are_enough() {
    let log = Arc::new(EmbeddedLog::in_memory());
    log.append((0..3).map(|partition| election(partition, 1, "a")).collect()).await.unwrap();
    let positions = log.append((0..100).map(|n| refused(n, 1, "a")).collect()).await.unwrap();
    let (runner, view) = ProjectionRunner::new(Orders(BTreeSet::new(), Some(10)), log.clone());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(runner.run(shutdown.clone()));
    eventually("it is ready", || async { view.is_ready() }).await;
    let end =
        |partition| positions.iter().filter(|at| at.partition == partition).map(|at| at.offset + 1).max();
    let newest = (0..).zip(&positions).filter(|(_, at)| at.offset + 10 >= end(at.partition).unwrap());
    let newest: BTreeSet<OrderId> = newest.map(|(n, _)| order(n)).collect();
    assert_eq!(newest.len(), 30, "of three partitions");
    assert_eq!(view.read(|orders| orders.0.clone()), newest, "their election lies before them");
    let others = log.append((0..10).map(|n| refused(n, 0, "z")).collect()).await.unwrap();
    let more = log.append((100..110).map(|n| refused(n, 1, "a")).collect()).await.unwrap();
    for position in others.into_iter().chain(more) {
        view.wait_for(position).await;
    }
    assert_eq!(view.read(|orders| orders.0.len()), 40, "and a writer of before does not count");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}
