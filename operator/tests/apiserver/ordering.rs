//! The order of steps: what waits for what.

use k8s_openapi::api::apps::v1::Deployment;
use kbnt_crds::{KafkaTopic, VirtualStock};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::harness::{Failure, KAFKA, Suite, Verdict, expect, stock, until, workflow};

async fn topic(topics: &Api<KafkaTopic>, name: &str) -> Result<KafkaTopic, Failure> {
    until(name, || async { Ok(topics.get(name).await?) }).await
}

pub(crate) async fn workloads_wait_for_topics_of_the_present_generation(suite: &Suite) -> Verdict {
    let shop = suite.shop("ordering").await?;
    shop.create(&stock("ordering", "kafka-manual")?).await?;
    let topics = shop.topics("kafka-manual");
    let made = topic(&topics, "ordering-inventory-events").await?;
    until("the waiting to be told", || async {
        let waiting = shop.stock_is("TopicsReady", "False", "WaitingForTopics").await?;
        expect(waiting.message.contains("Strimzi has not seen it yet"), || waiting.message.clone())
    })
    .await?;

    // Ready, but for an earlier generation, which does not count.
    let status = |generation: Option<i64>, observed: i64| {
        json!({"status": {"observedGeneration": generation.map(|now| now - 1 + observed),
            "conditions": [{"type": "Ready", "status": "True"}]}})
    };
    let name = made.name_any();
    let stale = Patch::Merge(status(made.metadata.generation, 0));
    topics.patch_status(&name, &PatchParams::default(), &stale).await?;
    until("the stale status to be told", || async {
        let waiting = shop.stock_is("TopicsReady", "False", "WaitingForTopics").await?;
        expect(waiting.message.contains("latest change"), || waiting.message.clone())
    })
    .await?;
    shop.stock_is("WorkloadsAvailable", "False", "WaitingForStart").await?;
    expect(shop.names::<Deployment>().await?.is_empty(), || "a service runs without its topic".into())?;

    let fresh = Patch::Merge(status(made.metadata.generation, 1));
    topics.patch_status(&name, &PatchParams::default(), &fresh).await?;
    shop.stock_is("TopicsReady", "True", "TopicsReady").await?;
    // Without any OrderWorkflow.
    shop.stock_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn a_workflow_waits_for_its_stock(suite: &Suite) -> Verdict {
    let shop = suite.shop("ordering-stock").await?;
    shop.create(&workflow()?).await?;
    let missing = shop.workflow_is("StockReady", "False", "StockNotFound").await?;
    expect(missing.message.contains("no VirtualStock main"), || missing.message.clone())?;
    shop.workflow_is("Ready", "False", "StockNotFound").await?;

    // The stock exists but its topic is not ready: the workflow's topics are made, its services are not.
    shop.create(&stock("ordering-stock", "kafka-manual")?).await?;
    shop.workflow_is("StockReady", "False", "WaitingForStock").await?;
    let topics = shop.topics("kafka-manual");
    for name in [
        "user-events",
        "order-events",
        "payment-events",
        "notification-events",
        "audit-logs",
        "application-logs",
    ] {
        let made = topic(&topics, &format!("ordering-stock-{name}")).await?;
        ready(&topics, &made).await?;
    }
    shop.workflow_is("TopicsReady", "True", "TopicsReady").await?;
    let waiting = shop.workflow_is("WorkloadsAvailable", "False", "WaitingForStart").await?;
    expect(waiting.message.contains("the topic of the VirtualStock"), || waiting.message.clone())?;
    expect(shop.names::<Deployment>().await?.is_empty(), || {
        "a service runs without the stock's topic".into()
    })?;

    ready(&topics, &topic(&topics, "ordering-stock-inventory-events").await?).await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let orders = shop.api::<kbnt_crds::OrderWorkflow>();
    until("the order counts", || async {
        let counts = orders.get("main").await?.status.and_then(|status| status.orders);
        expect(counts.as_ref().is_some_and(|counts| counts.cancelled == 4), || format!("{counts:?}"))
    })
    .await
}

async fn ready(topics: &Api<KafkaTopic>, topic: &KafkaTopic) -> Verdict {
    let status = json!({"status": {"observedGeneration": topic.metadata.generation,
        "conditions": [{"type": "Ready", "status": "True"}]}});
    topics.patch_status(&topic.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

pub(crate) async fn topics_have_the_documented_shape(suite: &Suite) -> Verdict {
    let shop = suite.shop("shape").await?;
    // Without a prefix, as in the samples.
    let mut plain = stock("", KAFKA)?;
    plain.spec.kafka.topic_prefix.clear();
    shop.create(&plain).await?;
    shop.create(&workflow()?).await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let day = 86_400_000_i64;
    for (name, partitions, retention) in [
        ("user-events", 3, -1),
        ("order-events", 3, -1),
        ("payment-events", 3, -1),
        ("inventory-events", 3, -1),
        ("notification-events", 3, 7 * day),
        ("audit-logs", 1, 365 * day),
        ("application-logs", 2, 7 * day),
    ] {
        let topic = shop.topics(KAFKA).get(name).await?;
        expect(topic.spec.partitions == Some(partitions), || format!("{name}: {:?}", topic.spec))?;
        expect(topic.spec.config["retention.ms"] == json!(retention), || {
            format!("{name}: {:?}", topic.spec)
        })?;
        expect(topic.spec.config["cleanup.policy"] == "delete", || format!("{name}: {:?}", topic.spec))?;
        expect(topic.labels()["strimzi.io/cluster"] == KAFKA, || format!("{name}: {:?}", topic.labels()))?;
        expect(topic.finalizers().is_empty(), || format!("{name}: {:?}", topic.finalizers()))?;
    }
    let mut services = shop.names::<Deployment>().await?;
    services.sort();
    let all = ["audit", "inventory", "notification", "order", "payment", "user"]
        .map(|role| format!("main-{role}-service"));
    expect(services == all, || format!("{services:?}"))?;
    expect(shop.names::<k8s_openapi::api::core::v1::Service>().await?.len() == 6, || {
        "not six Services".into()
    })?;
    let bare = shop.api::<VirtualStock>().list(&ListParams::default()).await?;
    expect(bare.items[0].finalizers().is_empty(), || "a finalizer where none is needed".into())
}
