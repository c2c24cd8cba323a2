//! Topics that are deleted under running services are found out at once, and what is there is adopted by a person alone.

use std::time::Duration;

use kbnt_e2e::harness::{Failure, Kubectl, Shop, until};
use serde_json::json;

/// How long the operator, the Topic Operator and pods that start anew may take together.
const SHOWN: Duration = Duration::from_mins(3);
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

#[test]
fn topics_that_are_deleted_under_running_services_are_adopted_by_a_person_alone() -> Result<(), Failure> {
    let (shop, kafka) = (Shop::namespace("adopted")?, Kubectl::new("kafka"));
    shop.apply_samples()?;
    shop.ready()?;
    for (object, _) in OWNERS {
        until("an intact log", SHOWN, || shop.kubectl.expect_condition(object, "LogIntact", "True"))?;
    }
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
    kafka.run(
        &[&["delete", "kafkatopic"], topics.iter().map(String::as_str).collect::<Vec<_>>().as_slice()]
            .concat(),
    )?;

    for (object, _) in OWNERS {
        until("another topic of the same name", SHOWN, || {
            shop.kubectl.expect_condition(object, "LogIntact", "False")?;
            shop.kubectl.expect_condition(object, "Ready", "False")
        })?;
    }
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
    for (object, _) in OWNERS {
        until("an intact log again", SHOWN, || {
            shop.kubectl.expect_condition(object, "LogIntact", "True")?;
            shop.kubectl.expect_condition(object, "Ready", "True")
        })?;
    }
    let items = [json!({"productId": "PROD-001", "quantity": 1})];
    let body = json!({"userId": "USER-12345", "items": items, "payment": {"method": "credit_card"}});
    let orders = shop.service("order-service")?;
    until("an order", SHOWN, || {
        let order = orders.post("/v1/orders?wait=25s", "after-adoption", &body)?;
        if order.body["status"] == "CONFIRMED" { Ok(()) } else { Err(Failure(format!("{order:?}"))) }
    })
}
