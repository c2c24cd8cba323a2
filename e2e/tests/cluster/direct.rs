//! Kafka without Strimzi: a Job makes the topics, and orders go through.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kbnt_e2e::harness::{Failure, Kafka, Shop, until};
use serde_json::json;

/// How long a Job's pod may take to start, to try and to end.
const REPORTED: Duration = Duration::from_mins(3);

#[test]
fn a_job_makes_the_topics_of_a_kafka_that_strimzi_does_not_run() -> Result<(), Failure> {
    let shop = Shop::namespace("direct")?;
    shop.apply_samples_with(|resource| {
        // The operator does not delete topics there.
        resource["spec"]["topicDeletionPolicy"] = "Retain".into();
        if resource["kind"] == "VirtualStock" {
            let servers = "kbnt-kafka-bootstrap.kafka.svc:9092";
            resource["spec"]["kafka"] =
                json!({"bootstrapServers": servers, "topicReplicas": 1, "topicPrefix": shop.prefix});
        }
    })?;
    shop.ready()?;
    for (name, partitions) in [("inventory-events", 3), ("order-events", 3), ("audit-logs", 1)] {
        assert_eq!(Kafka::default().partitions(&shop.topic(name))?, partitions, "{name}");
    }
    let orders = shop.service("order-service")?;
    // The topics stay between runs, and so do the orders in them.
    let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let items = [json!({"productId": "PROD-001", "quantity": 1})];
    let body = json!({"userId": "USER-12345", "items": items, "payment": {"method": "credit_card"}});
    // A node may learn of a Service's pods a moment after they are ready.
    until("an order", REPORTED, || {
        let order = orders.post("/v1/orders?wait=25s", &format!("run-{run}"), &body)?;
        if order.body["status"] == "CONFIRMED" { Ok(()) } else { Err(Failure(format!("{order:?}"))) }
    })?;

    // The condition has the message of the pod, and the services continue.
    let more = r#"{"spec":{"kafka":{"topicReplicas":2}}}"#;
    shop.kubectl.run(&["patch", "virtualstock", "main", "--type=merge", "--patch", more])?;
    until("the refusal to be told", REPORTED, || {
        let (status, why) = shop.kubectl.condition("virtualstock/main", "TopicsReady")?;
        let reported =
            status == "False" && why.contains("NotSupported: it has 1 copies of its partitions instead of 2");
        if reported { Ok(()) } else { Err(Failure(format!("TopicsReady={status} ({why})"))) }
    })?;
    shop.kubectl.expect_condition("virtualstock/main", "WorkloadsAvailable", "True")
}
