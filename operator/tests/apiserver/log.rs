//! A log that is not the known one: what the conditions report, what the operator stops doing, and the way
//! out.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kbnt_crds::common::TopicState;
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::{Failure, KAFKA, STILL, Shop, Suite, Verdict, expect, stock, topic_id, until};

async fn topic_of(shop: &Shop) -> Result<TopicState, Failure> {
    let status = shop.api::<VirtualStock>().get("main").await?.status.unwrap_or_default();
    status.topics.first().cloned().ok_or_else(|| Failure::new("no topic in the status"))
}

/// The variable of a service that lists the known topics, and the generation of its Deployment.
async fn known_to(shop: &Shop, service: &str) -> Result<(String, Option<i64>), Failure> {
    let live = shop.api::<Deployment>().get(service).await?;
    let pod = live.spec.template.spec.unwrap_or_default();
    let mut env = pod.containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
    let ids = env.find(|variable| variable.name == "KBNT_KAFKA_TOPIC_IDS").and_then(|found| found.value);
    Ok((ids.unwrap_or_default(), live.metadata.generation))
}

/// Waits for an event with this reason whose note contains all these texts.
async fn event(shop: &Shop, kind: &str, reason: &str, parts: &[&str]) -> Verdict {
    until(&format!("an event {reason}"), || async {
        let events = shop.api::<Event>().list(&ListParams::default()).await?;
        let texts: Vec<_> = events
            .iter()
            .filter(|event| event.reason.as_deref() == Some(reason))
            .filter(|event| event.regarding.as_ref().and_then(|of| of.kind.as_deref()) == Some(kind))
            .filter_map(|event| event.note.clone())
            .collect();
        expect(texts.iter().any(|text| parts.iter().all(|part| text.contains(part))), || format!("{texts:?}"))
    })
    .await
}

fn adopt(pairs: &str) -> Value {
    json!({"metadata": {"annotations": {"kbnt.dev/adopt-topics": pairs}}})
}

pub(crate) async fn a_topic_that_was_made_again_is_adopted_by_its_exact_id_alone(suite: &Suite) -> Verdict {
    let shop = suite.shop("log-again").await?;
    shop.open().await?;
    shop.stock_is("LogIntact", "True", "Intact").await?;
    shop.workflow_is("LogIntact", "True", "Intact").await?;
    let (topics, name) = (shop.topics(KAFKA), "log-again-inventory-events");
    let first = topic_id(&topics.get(name).await?);
    expect(topic_of(&shop).await?.topic_id.as_ref() == Some(&first), || "not recorded".into())?;
    // The first pod has it already, so no pod is replaced for it.
    let (ids, generation) = known_to(&shop, "main-inventory-service").await?;
    expect(ids == format!("inventory-events={first}") && generation == Some(1), || {
        format!("{ids} {generation:?}")
    })?;
    let (ids, generation) = known_to(&shop, "main-order-service").await?;
    expect(ids.split(',').count() == 7 && generation == Some(1), || format!("{ids} {generation:?}"))?;

    topics.delete(name, &DeleteParams::default()).await?;
    let broken = shop.stock_is("LogIntact", "False", "TopicReplaced").await?;
    let second = topic_id(&topics.get(name).await?);
    expect(broken.message.contains(&first) && broken.message.contains(&second), || broken.message.clone())?;
    let ready = shop.stock_is("Ready", "False", "TopicReplaced").await?;
    expect(ready.message.contains(&second), || ready.message.clone())?;
    event(&shop, "VirtualStock", "TopicReplaced", &[&first, &second]).await?;
    shop.workflow_is("StockReady", "False", "WaitingForStock").await?;
    let labels = ["VirtualStock", "log-again"];
    let damaged = suite.operator.metric("kbnt_operator_log_damaged", &labels, &[]).await?;
    expect((damaged - 1.0).abs() < f64::EPSILON, || format!("{damaged}"))?;

    // The operator declares nothing to a log that may have lost earlier declarations.
    let product = json!([{"id": "PROD-001", "name": "Smartphone X", "unitPrice": "599.99", "received": 150}]);
    shop.patch::<VirtualStock>(&json!({"spec": {"products": product}})).await?;
    shop.stock_is("StockDeclared", "Unknown", "LogNotIntact").await?;
    shop.stock_is("LedgerBalanced", "Unknown", "LogNotIntact").await?;
    expect(suite.ledgers.received("log-again", "PROD-001") == Some(100), || "declared all the same".into())?;

    // An id that differs from the present topic's adopts nothing.
    for wrong in [format!("{name}={first}x"), format!("{name}={}", "A".repeat(22)), name.to_owned()] {
        shop.patch::<VirtualStock>(&adopt(&wrong)).await?;
        until("the refusal", || async {
            let refused = shop.stock_is("LogIntact", "False", "TopicReplaced").await?;
            expect(refused.message.contains(&wrong) && refused.message.contains("is not adopted"), || {
                refused.message.clone()
            })
        })
        .await?;
    }
    expect(topic_of(&shop).await?.topic_id.as_ref() == Some(&first), || "adopted all the same".into())?;

    shop.patch::<VirtualStock>(&adopt(&format!("{name}={second}"))).await?;
    shop.stock_is("LogIntact", "True", "Intact").await?;
    let adopted = topic_of(&shop).await?;
    expect((adopted.topic_id.as_ref(), adopted.replaces.as_ref()) == (Some(&second), Some(&first)), || {
        format!("{adopted:?}")
    })?;
    event(&shop, "VirtualStock", "TopicAdopted", &[&first, &second, "kbnt.dev/adopt-topics"]).await?;
    until("pods that know the new topic", || async {
        let (own, _) = known_to(&shop, "main-inventory-service").await?;
        let (others, _) = known_to(&shop, "main-order-service").await?;
        expect(own.contains(&second) && others.contains(&second), || format!("{own} {others}"))
    })
    .await?;
    shop.stock_is("StockDeclared", "True", "Declared").await?;
    expect(suite.ledgers.received("log-again", "PROD-001") == Some(150), || "not declared".into())?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let damaged = suite.operator.metric("kbnt_operator_log_damaged", &labels, &[]).await?;
    expect(damaged == 0.0, || format!("{damaged}"))
}

pub(crate) async fn a_stock_learns_of_topics_that_its_workflow_adopts(suite: &Suite) -> Verdict {
    let shop = suite.shop("log-workflow").await?;
    shop.open().await?;
    shop.workflow_is("LogIntact", "True", "Intact").await?;
    let (topics, name) = (shop.topics(KAFKA), "log-workflow-order-events");
    topics.delete(name, &DeleteParams::default()).await?;
    shop.workflow_is("LogIntact", "False", "TopicReplaced").await?;
    shop.workflow_is("Ready", "False", "TopicReplaced").await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    let second = topic_id(&topics.get(name).await?);
    // Works without the prefix, too.
    shop.patch::<OrderWorkflow>(&adopt(&format!("order-events={second}"))).await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    until("an inventory-service that knows the new topic", || async {
        let (ids, _) = known_to(&shop, "main-inventory-service").await?;
        expect(ids.contains(&format!("order-events={second}")), || ids.clone())
    })
    .await
}

pub(crate) async fn what_a_service_finds_in_its_log_is_said_with_numbers(suite: &Suite) -> Verdict {
    let shop = suite.shop("log-cut").await?;
    shop.open().await?;
    shop.stock_is("LogIntact", "True", "Intact").await?;
    let cut = json!([{"service": "inventory-service", "topic": "log-cut-inventory-events", "partition": 1, "kind": "cut",
        "wanted": 0, "found": 40, "knownTopicId": null, "topicId": null, "message": ""}]);
    suite.ledgers.say_of_log("log-cut", "main-inventory-service", &cut);
    let found = shop.stock_is("LogIntact", "False", "LogCut").await?;
    expect(found.message.contains("log-cut-inventory-events/1 begins at 40, and 0 is wanted"), || {
        found.message.clone()
    })?;
    shop.stock_is("Ready", "False", "LogCut").await?;
    let short = json!([{"service": "audit-service", "topic": "audit-logs", "partition": 0, "kind": "short", "wanted": 9,
        "found": 7, "knownTopicId": null, "topicId": null, "message": "audit-logs/0 ends at 7, and 9 was acknowledged"}]);
    suite.ledgers.say_of_log("log-cut", "main-audit-service", &short);
    let found = shop.workflow_is("LogIntact", "False", "LogShort").await?;
    expect(found.message.contains("audit-logs/0 ends at 7, and 9 was acknowledged"), || {
        found.message.clone()
    })?;
    for service in ["main-inventory-service", "main-audit-service"] {
        suite.ledgers.say_of_log("log-cut", service, &json!([]));
    }
    shop.stock_is("LogIntact", "True", "Intact").await?;
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn a_pod_that_is_not_ready_is_asked_itself(suite: &Suite) -> Verdict {
    // No pods start here, so no pod can be reached through the Service.
    let shop = suite.shop(&format!("{STILL}log")).await?;
    shop.create(&stock("still-log", KAFKA)?).await?;
    let deployment = until("the Deployment", || async {
        Ok(shop.api::<Deployment>().get("main-inventory-service").await?)
    })
    .await?;
    let cut = json!([{"service": "inventory-service", "topic": "still-log-inventory-events", "partition": 2, "kind": "cut",
        "wanted": 3, "found": 5, "knownTopicId": null, "topicId": null, "message": ""}]);
    suite.ledgers.say_of_log(&shop.namespace, "pod-1", &cut);
    let template = deployment.spec.template;
    let labels = template.metadata.and_then(|metadata| metadata.labels);
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "pod-1", "labels": labels},
        "spec": {"containers": [{"name": "service", "image": "x"}]}}))?;
    let pods = shop.api::<Pod>();
    pods.create(&PostParams::default(), &pod).await?;
    let status = json!({"status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "Ready", "status": "False"}]}});
    pods.patch_status("pod-1", &PatchParams::default(), &Patch::Merge(status)).await?;
    let found = shop.stock_is("LogIntact", "False", "LogCut").await?;
    expect(found.message.contains("still-log-inventory-events/2 begins at 5, and 3 is wanted"), || {
        found.message.clone()
    })?;
    shop.stock_is("Ready", "False", "LogCut").await.map(drop)
}
