//! Commits that are ahead of a service's own records, or whose notes are malformed: the log decides.

use std::sync::Arc;

use kbnt_application::audit::AuditMachine;
use kbnt_application::event::Writer;
use kbnt_application::message::Message;
use kbnt_application::ports::{Commit, EventLog as _};
use kbnt_application::{Append, Position, Route, Service, Topic};
use kbnt_domain::event::{Level, LowStock};
use kbnt_embedded::EmbeddedLog;

use crate::support::outside::Running;
use kbnt_testkit::trail::trail;
use kbnt_testkit::{append, created, election, eventually};

/// Commits these positions, as if all records before them were handled.
async fn commit(log: &EmbeddedLog, next: &[Position], note: &str) {
    let commits = next.iter().map(|next| Commit { next: *next, note: note.to_owned() }).collect();
    log.join(Service::Audit).await.unwrap().commit(commits).await.unwrap();
}

fn after(at: &Position) -> Position {
    Position { offset: at.offset + 1, ..*at }
}

async fn linked(log: &EmbeddedLog) -> Vec<Position> {
    trail(log).await.linked.into_keys().collect()
}

/// A record of the writer of inventory-events in partition 0.
fn low_stock(name: &str, writer: &Writer) -> Append {
    let level = Level { real: 1, reserved: 0 };
    let plain = append(name, LowStock { product: "PROD-1".parse().unwrap(), threshold: 2, level });
    let message = Message { writer: Some(Arc::new(writer.clone())), ..plain.message.as_ref().clone() };
    Append { message: Arc::new(message), route: Route::Partition(0), source: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_committed_and_has_no_link_gets_one() {
    let log = EmbeddedLog::in_memory();
    let mut written = log.append((0..40).map(created).collect()).await.unwrap();
    commit(&log, &written.iter().map(after).collect::<Vec<_>>(), "").await;
    for round in 1..4_u32 {
        let running = Running::start(AuditMachine::new(), Arc::new(log.clone()));
        eventually("all are linked", async || linked(&log).await.len() == written.len()).await;
        running.stop().await.unwrap();
        // More is committed than is linked, and more records follow.
        let more = log.append((round * 40..round * 40 + 20).map(created).collect()).await.unwrap();
        commit(&log, &more.iter().map(after).collect::<Vec<_>>(), "").await;
        written.extend(more);
        written.extend(log.append((round * 40 + 20..round * 40 + 40).map(created).collect()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_that_says_nothing_is_replaced_by_what_the_log_says() {
    let (old, new) = (Writer { term: 1, name: "a5b5".into() }, Writer { term: 2, name: "b6c6".into() });
    for note in ["", "2 b6c7", "9 zz 000000000000", "\u{0}"] {
        let log = EmbeddedLog::in_memory();
        let elections = vec![election(0, 1, &old.name), low_stock("x", &old), election(0, 2, &new.name)];
        let first = log.append(elections).await.unwrap();
        let running = Running::start(AuditMachine::new(), Arc::new(log.clone()));
        eventually("all are linked", async || linked(&log).await == first).await;
        running.stop().await.unwrap();
        commit(&log, &[after(&first[2])], note).await;
        let second = log.append(vec![low_stock("y", &new), low_stock("z", &old)]).await.unwrap();
        let third = log.append(vec![created(1)]).await.unwrap();
        let running = Running::start(AuditMachine::new(), Arc::new(log.clone()));
        eventually("the elected writer's record is linked", async || {
            let linked = linked(&log).await;
            linked.contains(&second[0]) && linked.contains(&third[0])
        })
        .await;
        running.stop().await.unwrap();
        assert!(
            !linked(&log).await.contains(&second[1]),
            "the fenced writer's record does not count, note {note:?}"
        );
        assert_eq!(second[1].topic, Topic::InventoryEvents);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_drains_takes_in_what_is_there_before_it_stops() {
    let log = EmbeddedLog::in_memory();
    let running = Running::start(AuditMachine::new(), Arc::new(log.clone()));
    eventually("it is at work", async || running.handle.is_ready()).await;
    let written = log.append((0..500).map(created).collect()).await.unwrap();
    running.stop().await.unwrap();
    assert_eq!(linked(&log).await.len(), written.len());
}
