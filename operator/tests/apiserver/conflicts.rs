//! Objects of other owners are reported and never taken over.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::harness::{KAFKA, Suite, Verdict, expect, stock, until};

pub(crate) async fn a_topic_of_somebody_else_is_reported_and_left_alone(suite: &Suite) -> Verdict {
    let shop = suite.shop("conflicts").await?;
    let topics = shop.topics(KAFKA);
    let foreign = serde_json::from_value(json!({
        "apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaTopic",
        "metadata": {"name": "conflicts-inventory-events", "labels": {"strimzi.io/cluster": KAFKA}},
        "spec": {"partitions": 12, "replicas": 1},
    }))?;
    topics.create(&PostParams::default(), &foreign).await?;
    shop.create(&stock("conflicts", KAFKA)?).await?;
    let condition = shop.stock_is("TopicsReady", "False", "TopicConflict").await?;
    expect(condition.message.contains("conflicts-inventory-events: belongs to somebody"), || {
        condition.message.clone()
    })?;
    expect(shop.names::<Deployment>().await?.is_empty(), || {
        "a service runs on the topic of somebody else".into()
    })?;
    let live = topics.get("conflicts-inventory-events").await?;
    expect(live.spec.partitions == Some(12) && live.annotations().is_empty(), || format!("{live:?}"))?;
    // The owner deletes it, and the stock can use the name.
    topics.delete("conflicts-inventory-events", &kube::api::DeleteParams::default()).await?;
    shop.stock_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn two_stocks_cannot_share_a_topic(suite: &Suite) -> Verdict {
    let (first, second) = (suite.shop("conflicts-first").await?, suite.shop("conflicts-second").await?);
    first.create(&stock("conflicts-shared", KAFKA)?).await?;
    first.stock_is("Ready", "True", "Ready").await?;
    second.create(&stock("conflicts-shared", KAFKA)?).await?;
    let condition = second.stock_is("TopicsReady", "False", "TopicConflict").await?;
    expect(condition.message.contains("VirtualStock conflicts-first/main"), || condition.message.clone())?;
    let topic = second.topics(KAFKA).get("conflicts-shared-inventory-events").await?;
    let owner = topic.annotations().get("kbnt.dev/owner").cloned();
    expect(owner.as_deref() == Some("VirtualStock/conflicts-first/main"), || format!("{owner:?}"))?;
    first.stock_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn a_deployment_of_somebody_else_is_reported_and_left_alone(suite: &Suite) -> Verdict {
    let shop = suite.shop("conflicts-deployment").await?;
    let foreign: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "main-inventory-service"},
        "spec": {
            "replicas": 7,
            "selector": {"matchLabels": {"app": "other"}},
            "template": {"metadata": {"labels": {"app": "other"}}, "spec": {"containers": [{"name": "other", "image": "other"}]}},
        },
    }))?;
    shop.create(&foreign).await?;
    shop.create(&stock("conflicts-deployment", KAFKA)?).await?;
    let condition = shop.stock_is("WorkloadsAvailable", "False", "NameTaken").await?;
    expect(condition.message.contains("main-inventory-service belongs to somebody"), || {
        condition.message.clone()
    })?;
    let live = shop.api::<Deployment>().get("main-inventory-service").await?;
    expect(live.spec.replicas == Some(7) && live.owner_references().is_empty(), || {
        format!("{:?}", live.spec.replicas)
    })
}

pub(crate) async fn a_spec_that_cannot_be_carried_out_says_why(suite: &Suite) -> Verdict {
    let shop = suite.shop("conflicts-invalid").await?;
    let mut stock = stock("conflicts-invalid", KAFKA)?;
    // Kubernetes checks only the first part.
    let wrong = json!({"env": [{"name": "KBNT_LOG", "value": "info,debgu"}]});
    stock.spec.inventory.pod_template = serde_json::from_value(wrong)?;
    shop.create(&stock).await?;
    let condition = shop.stock_is("TopicsReady", "False", "InvalidSpec").await?;
    expect(condition.message.contains("KBNT_LOG=\"info,debgu\""), || condition.message.clone())?;
    shop.stock_is("Ready", "False", "InvalidSpec").await?;
    let api = shop.api::<kbnt_crds::VirtualStock>();
    api.patch(
        "main",
        &PatchParams::default(),
        &Patch::Merge(json!({"spec": {"inventory": {"podTemplate": {"env": null}}}})),
    )
    .await?;
    until("the correction", || async { shop.stock_is("Ready", "True", "Ready").await }).await.map(drop)
}
