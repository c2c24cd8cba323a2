//! Changes that people make are reverted, unless the resource is paused.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;

use crate::harness::{Failure, KAFKA, Shop, Suite, Verdict, expect, until};

async fn replicas(shop: &Shop, name: &str) -> Result<Option<i32>, Failure> {
    Ok(shop.api::<Deployment>().get(name).await?.spec.replicas)
}

pub(crate) async fn what_is_changed_or_deleted_is_put_right(suite: &Suite) -> Verdict {
    let shop = suite.shop("drift").await?;
    shop.open().await?;
    let (how, merge) = (DeleteParams::default(), PatchParams::default());
    let (deployments, topics) = (shop.api::<Deployment>(), shop.topics(KAFKA));

    let change = json!({"spec": {"replicas": 5, "template": {"spec": {"containers": [{"name": "intruder", "image": "x"}]}}}});
    deployments.patch("main-user-service", &merge, &Patch::Merge(change)).await?;
    until("the changed Deployment to be put right", || async {
        let spec = deployments.get("main-user-service").await?.spec;
        let containers: Vec<_> =
            spec.template.spec.iter().flat_map(|pod| &pod.containers).map(|c| c.name.clone()).collect();
        expect(spec.replicas == Some(1) && containers == ["service"], || {
            format!("{:?} {containers:?}", spec.replicas)
        })
    })
    .await?;

    deployments.delete("main-inventory-service", &how).await?;
    shop.api::<Service>().delete("main-order-service", &how).await?;
    shop.api::<ServiceAccount>().delete("main-audit-service", &how).await?;
    shop.api::<ConfigMap>().delete("main-users", &how).await?;
    topics.delete("drift-order-events", &how).await?;
    until("what was deleted to be back", || async {
        deployments.get("main-inventory-service").await?;
        shop.api::<Service>().get("main-order-service").await?;
        shop.api::<ServiceAccount>().get("main-audit-service").await?;
        shop.api::<ConfigMap>().get("main-users").await?;
        topics.get("drift-order-events").await?;
        Ok(())
    })
    .await?;

    let change = json!({"spec": {"config": {"retention.ms": 60_000, "retention.bytes": 1000, "cleanup.policy": "compact"}}});
    topics.patch("drift-payment-events", &merge, &Patch::Merge(change)).await?;
    let users = json!({"data": {"users.json": "[]"}});
    shop.api::<ConfigMap>().patch("main-users", &merge, &Patch::Merge(users)).await?;
    // Without its label the operator does not see the object, and finds it all the same.
    let label = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}});
    deployments.patch("main-payment-service", &merge, &Patch::Merge(label)).await?;
    until("what was changed to be put right", || async {
        let topic = topics.get("drift-payment-events").await?;
        expect(topic.spec.config["cleanup.policy"] == "delete", || format!("{:?}", topic.spec))?;
        expect(topic.spec.config["retention.ms"] == -1, || format!("{:?}", topic.spec))?;
        expect(topic.spec.config["retention.bytes"] == -1, || format!("{:?}", topic.spec))?;
        let users = shop.api::<ConfigMap>().get("main-users").await?.data.unwrap_or_default();
        expect(users["users.json"].contains("USER-12345"), || format!("{users:?}"))?;
        let deployment = deployments.get("main-payment-service").await?;
        expect(deployment.labels().contains_key("app.kubernetes.io/managed-by"), || "no label".into())
    })
    .await?;
    // The person who did that may not know the effect.
    until("the event that says so", || async {
        let events = shop.api::<Event>().list(&ListParams::default()).await?;
        let said = events
            .iter()
            .filter(|event| event.reason.as_deref() == Some("TopicSettingsPutBack"))
            .filter(|event| event.type_.as_deref() == Some("Warning"))
            .filter_map(|event| event.note.clone());
        let said: Vec<_> = said.collect();
        let all = [
            "drift-payment-events",
            "retention.ms was set to 60000, and is -1",
            "retention.bytes was set to 1000",
            "cleanup.policy was set to compact, and is delete",
        ];
        expect(said.iter().any(|text| all.iter().all(|part| text.contains(part))), || format!("{said:?}"))
    })
    .await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    // The recreated topic is another one now.
    shop.workflow_is("LogIntact", "False", "TopicReplaced").await.map(drop)
}

pub(crate) async fn a_paused_resource_is_left_alone(suite: &Suite) -> Verdict {
    let shop = suite.shop("drift-paused").await?;
    shop.open().await?;
    shop.patch::<OrderWorkflow>(&json!({"spec": {"paused": true}})).await?;
    // The condition names the generation that is paused, so the operator has seen it.
    shop.workflow_is("Ready", "True", "Ready").await?;
    let change = Patch::Merge(json!({"spec": {"replicas": 0}}));
    shop.api::<Deployment>().patch("main-order-service", &PatchParams::default(), &change).await?;
    // The status is still updated, which shows that the operator has seen this change, too.
    let condition = shop.workflow_is("Ready", "False", "Paused").await?;
    expect(condition.message.contains("paused"), || condition.message.clone())?;
    expect(replicas(&shop, "main-order-service").await? == Some(0), || "repaired while paused".into())?;
    shop.patch::<OrderWorkflow>(&json!({"spec": {"paused": false}})).await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    expect(replicas(&shop, "main-order-service").await? == Some(1), || "not repaired after the pause".into())
}

pub(crate) async fn a_changed_spec_reaches_the_objects_that_it_concerns(suite: &Suite) -> Verdict {
    let shop = suite.shop("drift-spec").await?;
    shop.open().await?;
    let deployments = shop.api::<Deployment>();
    let generations = || async {
        let mut generations = Vec::new();
        for role in ["user", "payment", "order", "notification", "audit", "inventory"] {
            generations.push(deployments.get(&format!("main-{role}-service")).await?.metadata.generation);
        }
        Ok::<_, Failure>(generations)
    };
    let before = generations().await?;
    let users =
        json!({"spec": {"users": {"declared": [{"id": "NEW", "name": "New", "email": "new@example.com"}]}}});
    shop.patch::<OrderWorkflow>(&users).await?;
    shop.patch::<VirtualStock>(&json!({"spec": {"inventory": {"replicas": 2}}})).await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let changed: Vec<_> =
        generations().await?.iter().zip(&before).map(|(after, before)| after != before).collect();
    expect(changed == [true, false, false, false, false, true], || format!("{changed:?}"))?;
    expect(replicas(&shop, "main-inventory-service").await? == Some(2), || "not scaled".into())
}
