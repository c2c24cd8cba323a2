//! The deletion of topics under running services is noticed at once, and only a person adopts the new ones.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use kbnt_e2e::harness::{Failure, Http, Kubectl, Shop, until};
use serde_json::{Value, json};

/// How long the operator, the Topic Operator and restarted pods may take together.
const SHOWN: Duration = Duration::from_mins(3);
/// How long a customer waits before the next order.
const BETWEEN: Duration = Duration::from_millis(50);
/// Orders in progress when the topics are deleted.
const ORDERS: u32 = 20;
/// The resources, and the topics that each has to adopt.
const OWNERS: [(&str, &[&str]); 2] = [
    ("virtualstock/main", &["inventory-events"]),
    (
        "orderworkflow/main",
        &[
            "user-events",
            "order-events",
            "payment-events",
            "notification-events",
            "audit-logs",
            "application-logs",
        ],
    ),
];

/// What a customer orders.
fn order() -> Value {
    let items = [json!({"productId": "PROD-001", "quantity": 1})];
    json!({"userId": "USER-12345", "items": items, "payment": {"method": "credit_card"}})
}

/// Places orders until the other end of `ended` is gone, and counts the accepted ones.
fn keep_ordering(orders: &Http, taken: &AtomicU32, ended: &Receiver<()>) {
    for n in 0_u32.. {
        // A refused order does not matter here: its topic is gone.
        let answer = orders.post("/v1/orders", &format!("before-{n}"), &order());
        taken.fetch_add(u32::from(answer.is_ok_and(|answer| answer.status == 202)), Ordering::Relaxed);
        if ended.recv_timeout(BETWEEN) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

/// Waits until `condition` of both resources is `wanted`.
fn await_condition(shop: &Shop, what: &str, condition: &str, wanted: &str) -> Result<(), Failure> {
    for (object, _) in OWNERS {
        until(what, SHOWN, || shop.kubectl.expect_condition(object, condition, wanted))?;
    }
    Ok(())
}

/// Deletes these topics while orders arrive.
fn delete_under_orders(shop: &Shop, topics: &[String]) -> Result<(), Failure> {
    let (orders, taken) = (shop.service("order-service")?, AtomicU32::new(0));
    let delete = || {
        until("orders", SHOWN, || {
            let taken = taken.load(Ordering::Relaxed);
            if taken >= ORDERS { Ok(()) } else { Err(Failure(format!("{taken} orders"))) }
        })?;
        let names = topics.iter().map(String::as_str);
        Kubectl::new("kafka").run(&["delete", "kafkatopic"].into_iter().chain(names).collect::<Vec<_>>())?;
        await_condition(shop, "another topic of the same name", "LogIntact", "False")
    };
    std::thread::scope(|scope| {
        let (run, ended) = channel();
        let (orders, taken) = (&orders, &taken);
        scope.spawn(move || keep_ordering(orders, taken, &ended));
        let deleted = delete();
        drop(run);
        deleted
    })
}

#[test]
fn topics_that_are_deleted_under_running_services_are_adopted_by_a_person_alone() -> Result<(), Failure> {
    let (shop, kafka) = (Shop::namespace("adopted")?, Kubectl::new("kafka"));
    shop.apply_samples()?;
    shop.ready()?;
    await_condition(&shop, "an intact log", "LogIntact", "True")?;
    let topics: Vec<_> =
        OWNERS.iter().flat_map(|(_, topics)| *topics).map(|topic| shop.topic(topic)).collect();
    let ids = || -> Result<Vec<String>, Failure> {
        let id = |topic: &String| {
            let object = kafka.get(&["kafkatopic", topic])?;
            let id = object["status"]["topicId"].as_str().map(str::to_owned);
            id.ok_or_else(|| Failure(format!("{topic} has no id")))
        };
        topics.iter().map(id).collect()
    };
    let before = ids()?;
    delete_under_orders(&shop, &topics)?;

    await_condition(&shop, "services that do not go on", "Ready", "False")?;
    let after = until("ids of the new topics", SHOWN, || {
        let after = ids()?;
        let all_new = after.iter().zip(&before).all(|(after, before)| after != before);
        if all_new { Ok(after) } else { Err(Failure(format!("{after:?}"))) }
    })?;
    let id_of = |topic: &str| topics.iter().zip(&after).find(|(name, _)| **name == shop.topic(topic));
    for (object, topics) in OWNERS {
        let pairs: Vec<_> =
            topics.iter().filter_map(|topic| id_of(topic)).map(|(name, id)| format!("{name}={id}")).collect();
        let annotation = format!("kbnt.dev/adopt-topics={}", pairs.join(","));
        shop.kubectl.run(&["annotate", object, &annotation])?;
    }
    await_condition(&shop, "an intact log again", "LogIntact", "True")?;
    await_condition(&shop, "services that go on", "Ready", "True")?;
    let orders = shop.service("order-service")?;
    until("an order", SHOWN, || {
        let placed = orders.post("/v1/orders?wait=25s", "after-adoption", &order())?;
        if placed.body["status"] == "CONFIRMED" { Ok(()) } else { Err(Failure(format!("{placed:?}"))) }
    })
}
