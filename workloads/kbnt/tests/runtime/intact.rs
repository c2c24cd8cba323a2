//! A service does not decide on a log that is another one than it knows, or that is incomplete.

use std::sync::Arc;

use kbnt_application::audit::AuditMachine;
use kbnt_application::intact::{Damage, Fault, TopicId};
use kbnt_application::intact::{Integrity, TopicIds};
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::CallError;
use kbnt_application::ports::{EventLog, LogError, RawRecord, ReplacedTopic};
use kbnt_application::projections::BookLimits;
use kbnt_application::user::{UserConfig, UserMachine};
use kbnt_application::{Append, Machine, Position, Route, Service, Topic};
use kbnt_domain::event::NotificationSent;
use kbnt_embedded::EmbeddedLog;
use kbnt_http::OrderViews;
use kbnt_runtime::ProjectionRunner;
use kbnt_runtime::intact::Guarded;
use kbnt_wire::raw::{RawAppend, RawLog as _};
use tokio_util::sync::CancellationToken;

use crate::support::outside::Running;
use kbnt_testkit::faulty::Faulty;
use kbnt_testkit::machines::Echo;
use kbnt_testkit::{DEADLINE, append, created, eventually, order, orders_in, placed};

/// A log with ten unreadable records in each partition.
async fn filled() -> Arc<Faulty> {
    let log = EmbeddedLog::in_memory();
    for topic in Topic::EVENTS {
        for partition in 0..topic.partitions() {
            let record = RawRecord { value: Some(b"{}".to_vec()), ..RawRecord::default() };
            let append = RawAppend { topic, to: Some(partition), record };
            log.append_raw(vec![append; 10]).await.unwrap();
        }
    }
    Faulty::new(log)
}

/// Starts this machine. It is ready, or reports the damage and lives on until it is stopped.
async fn started<M: Machine>(machine: M, log: &Arc<Faulty>, given: TopicIds) -> Option<Damage> {
    let integrity = Arc::new(Integrity::new(given));
    let guarded = Guarded::new(log.clone(), machine.service(), integrity.clone());
    let running = Running::start(machine, Arc::new(guarded));
    let mut progress = running.handle.progress();
    let settled = progress.wait_for(|progress| progress.ready || progress.damage.is_some());
    let damage =
        tokio::time::timeout(DEADLINE, settled).await.expect("neither ready nor damaged").unwrap().damage;
    assert_eq!(integrity.damage().first().copied(), damage);
    assert_eq!(integrity.is_intact(), damage.is_none());
    if let Some(damage) = damage {
        let called = running.handle.call(|_, _| ()).await;
        assert_eq!(called, Err(CallError::Damaged(damage)));
    }
    running.stop().await.unwrap();
    damage
}

/// As [`started`], for the machine of any service.
async fn service(service: Service, log: &Arc<Faulty>, given: TopicIds) -> Option<Damage> {
    match service {
        Service::Order => started(OrderMachine::new(), log, given).await,
        Service::User => started(UserMachine::new(UserConfig::default()), log, given).await,
        Service::Inventory => started(InventoryMachine::new(InventoryConfig::new("a")), log, given).await,
        Service::Payment => started(PaymentMachine::new(), log, given).await,
        Service::Notification => started(NotificationMachine::new(), log, given).await,
        Service::Audit => started(AuditMachine::new(), log, given).await,
    }
}

fn uses(service: Service, topic: Topic) -> bool {
    service.output() == topic || service.inputs().contains(&topic)
}

#[tokio::test]
async fn no_service_decides_where_an_event_store_that_it_reads_was_cut() {
    for topic in Topic::EVENTS {
        for name in Service::ALL {
            let log = filled().await;
            log.cut.lock().unwrap().insert((topic, 0), 7);
            let before = log.begun.load(std::sync::atomic::Ordering::SeqCst);
            let damage = service(name, &log, TopicIds::default()).await;
            let fault = Fault::Cut { partition: 0, wanted: 0, found: 7 };
            let expected = Damage { service: name, topic, fault };
            let refuses = topic.is_event_store() && uses(name, topic);
            assert_eq!(damage, refuses.then_some(expected), "{name:?} on {topic:?}");
            if refuses {
                let appended = log.begun.load(std::sync::atomic::Ordering::SeqCst) - before;
                assert_eq!(appended, 0, "{name:?} decided on {topic:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_service_decides_where_a_topic_that_it_reads_is_another_one_than_was_given() {
    let known: TopicId = "WOl_vM4-QU2HyDFeU4Yg0w".parse().unwrap();
    for topic in Topic::EVENTS {
        for name in Service::ALL {
            let log = filled().await;
            let found = log.topic_id(topic).await.unwrap();
            let damage = service(name, &log, [(topic, known)].into_iter().collect()).await;
            let expected = Damage { service: name, topic, fault: Fault::Replaced { known, found } };
            assert_eq!(damage, uses(name, topic).then_some(expected), "{name:?} on {topic:?}");
            let same = [(topic, found)].into_iter().collect();
            assert_eq!(service(name, &log, same).await, None, "{name:?} on {topic:?} itself");
        }
    }
}

#[tokio::test]
async fn the_read_model_of_orders_is_not_served_from_a_log_that_was_cut() {
    let log = filled().await;
    log.cut.lock().unwrap().insert((Topic::InventoryEvents, 2), 3);
    let guarded = Guarded::new(log, Service::Order, Arc::default());
    let (runner, view) = ProjectionRunner::new(OrderViews::new(BookLimits::default()), Arc::new(guarded));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(runner.run(shutdown.clone()));
    eventually("the damage is known", || async { view.damage().is_some() }).await;
    assert!(!view.is_ready());
    assert_eq!(view.damage().unwrap().fault, Fault::Cut { partition: 2, wanted: 0, found: 3 });
    assert!(!running.is_finished(), "it lives on to say so");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// A log on which notifications were sent for 30 orders, with the commits.
async fn notified() -> Arc<Faulty> {
    let log = EmbeddedLog::in_memory();
    log.append((0..30).map(created).collect()).await.unwrap();
    let first = Running::start(Echo::default(), Arc::new(log.clone()));
    eventually("all are answered", || async { orders_in(&log, Topic::NotificationEvents).await.len() == 30 })
        .await;
    first.stop().await.unwrap();
    Faulty::new(log)
}

#[tokio::test]
async fn a_log_that_ends_before_what_was_committed_is_refused_unless_somebody_names_that_very_topic() {
    let log = notified().await;
    let end = log.bounds(Topic::OrderEvents, 1).await.unwrap().end;
    log.short.lock().unwrap().insert((Topic::OrderEvents, 1), end - 1);
    // Its own records name the same causes; only the commits contradict.
    log.cut.lock().unwrap().extend((0..3).map(|partition| ((Topic::NotificationEvents, partition), 30)));
    let fault = Fault::Short { partition: 1, wanted: end, found: end - 1 };
    let damage = Damage { service: Service::Notification, topic: Topic::OrderEvents, fault };
    assert_eq!(started(Echo::default(), &log, TopicIds::default()).await, Some(damage));
    let id = log.topic_id(Topic::OrderEvents).await.unwrap();
    let adopted = [(Topic::OrderEvents, id)].into_iter().collect();
    assert_eq!(started(Echo::default(), &log, adopted).await, None);
}

#[tokio::test]
async fn what_was_committed_for_another_topic_is_damage_unless_somebody_names_that_very_topic() {
    let log = notified().await;
    let found = log.topic_id(Topic::OrderEvents).await.unwrap();
    let known = TopicId::from_bytes([9; 16]);
    log.stray_commits.lock().unwrap().push(ReplacedTopic { topic: Topic::OrderEvents, known, found });
    let fault = Fault::Replaced { known, found };
    let damage = Damage { service: Service::Notification, topic: Topic::OrderEvents, fault };
    assert_eq!(started(Echo::default(), &log, TopicIds::default()).await, Some(damage));
    let adopted = [(Topic::OrderEvents, found)].into_iter().collect();
    assert_eq!(started(Echo::default(), &log, adopted).await, None);
}

/// A log whose records have links, without commits.
async fn linked() -> Arc<Faulty> {
    let log = EmbeddedLog::in_memory();
    log.append((0..30).map(created).collect()).await.unwrap();
    let record = RawRecord { value: Some(b"{}".to_vec()), ..RawRecord::default() };
    let append = RawAppend { topic: Topic::NotificationEvents, to: Some(1), record };
    log.append_raw(vec![append; 4]).await.unwrap();
    let faulty = Faulty::new(log);
    faulty.forget_commits.store(true, std::sync::atomic::Ordering::SeqCst);
    let first = Running::start(AuditMachine::new(), faulty.clone());
    // An unreadable record has a copy, too.
    eventually("all have links", || async {
        faulty.bounds(Topic::AuditLogs, 0).await.unwrap().end >= 30 + 2 * 4
    })
    .await;
    first.stop().await.unwrap();
    faulty
}

#[tokio::test]
async fn a_log_that_ends_before_what_has_a_link_is_refused_unless_somebody_names_that_very_topic() {
    let log = linked().await;
    let end = log.bounds(Topic::OrderEvents, 1).await.unwrap().end;
    assert!(end > 0);
    // Expired records prove nothing.
    log.short.lock().unwrap().insert((Topic::NotificationEvents, 1), 3);
    assert_eq!(started(AuditMachine::new(), &log, TopicIds::default()).await, None);
    for found in [end - 1, 0] {
        log.short.lock().unwrap().insert((Topic::OrderEvents, 1), found);
        let fault = Fault::Short { partition: 1, wanted: end, found };
        let damage = Damage { service: Service::Audit, topic: Topic::OrderEvents, fault };
        let links = log.bounds(Topic::AuditLogs, 0).await.unwrap();
        assert_eq!(started(AuditMachine::new(), &log, TopicIds::default()).await, Some(damage));
        assert_eq!(log.bounds(Topic::AuditLogs, 0).await.unwrap(), links, "nothing is decided");
    }
    let id = log.topic_id(Topic::OrderEvents).await.unwrap();
    let adopted = [(Topic::OrderEvents, id)].into_iter().collect();
    assert_eq!(started(AuditMachine::new(), &log, adopted).await, None);
}

#[tokio::test]
async fn what_one_service_of_a_process_finds_out_stops_the_others() {
    let log = linked().await;
    let end = log.bounds(Topic::OrderEvents, 1).await.unwrap().end;
    let integrity = Arc::<Integrity>::default();
    let guarded = Guarded::new(log.clone(), Service::Notification, integrity.clone());
    let other = Running::start(Echo::default(), Arc::new(guarded.clone()));
    other.ready().await;
    log.short.lock().unwrap().insert((Topic::OrderEvents, 1), end - 1);
    let audit = Guarded::new(log.clone(), Service::Audit, integrity.clone());
    let audit = Running::start(AuditMachine::new(), Arc::new(audit));
    eventually("the other one is not ready", || async { !other.handle.is_ready() }).await;
    let fault = Fault::Short { partition: 1, wanted: end, found: end - 1 };
    let damage = Damage { service: Service::Audit, topic: Topic::OrderEvents, fault };
    let refused = guarded.append(vec![placed(1)]).await;
    assert!(matches!(refused, Err(LogError::Damaged(reported)) if reported == damage), "{refused:?}");
    audit.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test]
async fn a_log_that_ends_before_what_most_of_the_newest_records_answer_is_refused() {
    let log = EmbeddedLog::in_memory();
    log.append((0..30).map(created).collect()).await.unwrap();
    let end = log.bounds(Topic::OrderEvents, 2).await.unwrap().end;
    let sent = NotificationSent {
        order: order(1),
        user: "USER-1".parse().unwrap(),
        channel: "log".into(),
        template: "order-confirmed".into(),
    };
    let cause = |offset| {
        let Append { message, .. } = append("sent", sent.clone());
        let mut message = message.as_ref().clone();
        message.service = Service::Notification;
        let source = Some(Position { topic: Topic::OrderEvents, partition: 2, offset });
        Append { message: Arc::new(message), route: Route::Partition(2), source }
    };
    log.append(vec![cause(end - 1)]).await.unwrap();
    let faulty = Faulty::new(log.clone());
    assert_eq!(started(Echo::default(), &faulty, TopicIds::default()).await, None);
    log.append(vec![cause(end + 4), cause(u64::MAX)]).await.unwrap();
    assert_eq!(
        started(Echo::default(), &faulty, TopicIds::default()).await,
        None,
        "anybody can write a record or two"
    );
    // Besides those that the service has answered since.
    log.append(vec![cause(end + 4); 90]).await.unwrap();
    let fault = Fault::Short { partition: 2, wanted: end + 5, found: end };
    let damage = Damage { service: Service::Notification, topic: Topic::OrderEvents, fault };
    assert_eq!(started(Echo::default(), &faulty, TopicIds::default()).await, Some(damage));
}

#[tokio::test]
async fn a_topic_that_is_replaced_stops_a_service_at_work() {
    let log = notified().await;
    let integrity = Arc::<Integrity>::default();
    let guarded = Guarded::new(log.clone(), Service::Notification, integrity.clone());
    let shutdown = CancellationToken::new();
    tokio::spawn(guarded.clone().watch(shutdown.clone()));
    let running = Running::start(Echo::default(), Arc::new(guarded.clone()));
    running.ready().await;
    let known = log.topic_id(Topic::OrderEvents).await.unwrap();
    let found: TopicId = "WOl_vM4-QU2HyDFeU4Yg0w".parse().unwrap();
    log.replaced.lock().unwrap().insert(Topic::OrderEvents, found);
    eventually("it is noticed", || async { !integrity.is_intact() }).await;
    let damage = integrity.damage()[0];
    assert_eq!(damage.fault, Fault::Replaced { known, found });
    eventually("it is not ready", || async { !running.handle.is_ready() }).await;
    let refused = guarded.append(vec![placed(1)]).await;
    assert!(matches!(refused, Err(LogError::Damaged(reported)) if reported == damage), "{refused:?}");
    let before = orders_in(log.as_ref(), Topic::NotificationEvents).await.len();
    log.append((100..110).map(created).collect()).await.unwrap();
    assert_eq!(orders_in(log.as_ref(), Topic::NotificationEvents).await.len(), before);
    shutdown.cancel();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_expired_before_it_was_read_is_counted_and_stops_nobody() {
    let log = EmbeddedLog::in_memory();
    let record = RawRecord { value: Some(b"{}".to_vec()), ..RawRecord::default() };
    let append = RawAppend { topic: Topic::NotificationEvents, to: Some(0), record };
    log.append_raw(vec![append.clone(); 4]).await.unwrap();
    let first = Running::start(AuditMachine::new(), Arc::new(log.clone()));
    eventually("all are kept", || async { log.bounds(Topic::AuditLogs, 0).await.unwrap().end >= 4 }).await;
    first.stop().await.unwrap();
    log.append_raw(vec![append; 6]).await.unwrap();
    let faulty = Faulty::new(log);
    faulty.cut.lock().unwrap().insert((Topic::NotificationEvents, 0), 7);
    let integrity = Arc::<Integrity>::default();
    let guarded = Guarded::new(faulty, Service::Audit, integrity.clone());
    let second = Running::start(AuditMachine::new(), Arc::new(guarded));
    second.ready().await;
    eventually("it is counted", || async { integrity.passed_over() == [(Topic::NotificationEvents, 3)] })
        .await;
    assert!(integrity.is_intact());
    second.stop().await.unwrap();
}
