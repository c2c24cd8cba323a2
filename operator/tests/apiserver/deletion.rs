//! What is deleted with a resource and what stays.

use std::sync::atomic::{AtomicU32, Ordering};

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kbnt_crds::{KafkaTopic, OrderWorkflow, VirtualStock};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::harness::{Failure, KAFKA, Suite, Verdict, expect, until};

async fn with_prefix(topics: &Api<KafkaTopic>, prefix: &str) -> Result<Vec<KafkaTopic>, Failure> {
    let all = topics.list(&ListParams::default()).await?;
    Ok(all.into_iter().filter(|topic| topic.name_any().starts_with(prefix)).collect())
}

pub(crate) async fn retained_topics_stay_and_are_taken_up_again(suite: &Suite) -> Verdict {
    let shop = suite.shop("deletion-retain").await?;
    shop.open().await?;
    let topics = shop.topics(KAFKA);
    let before = with_prefix(&topics, "deletion-retain-").await?;
    expect(before.len() == 7, || format!("{} topics", before.len()))?;
    shop.delete::<OrderWorkflow>().await?;
    shop.delete::<VirtualStock>().await?;
    let after = with_prefix(&topics, "deletion-retain-").await?;
    expect(after.len() == 7, || format!("{} topics", after.len()))?;
    expect(after.iter().all(|topic| topic.metadata.deletion_timestamp.is_none()), || {
        "topics are being deleted".into()
    })?;

    clear(&shop).await?;
    shop.open().await?;
    let adopted = with_prefix(&topics, "deletion-retain-").await?;
    let uid = shop.api::<VirtualStock>().get("main").await?.uid().unwrap_or_default();
    let inventory = adopted.iter().find(|topic| topic.name_any().ends_with("inventory-events"));
    let label = inventory.and_then(|topic| topic.labels().get("kbnt.dev/owner-uid"));
    expect(label == Some(&uid), || format!("{label:?} instead of {uid}"))?;
    for (before, adopted) in before.iter().zip(&adopted) {
        expect(before.uid() == adopted.uid(), || format!("{} was made anew", before.name_any()))?;
    }
    Ok(())
}

pub(crate) async fn a_finalizer_that_cannot_be_set_is_told_as_itself(suite: &Suite) -> Verdict {
    let shop = suite.shop("deletion-refused").await?;
    shop.open().await?;
    let (name, params) = ("no-finalizers", PostParams::default());
    let refused = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": ["kbnt.dev"], "apiVersions": ["*"],
                "operations": ["UPDATE"], "resources": ["virtualstocks"],
            }]},
            "validations": [{
                "expression": "size(object.metadata.?finalizers.orValue([])) == 0",
                "message": "no finalizers here",
            }],
        },
    });
    let here = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": shop.namespace}}},
        },
    });
    let policies = Api::<ValidatingAdmissionPolicy>::all(shop.client.clone());
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(shop.client.clone());
    policies.create(&params, &serde_json::from_value(refused)?).await?;
    bindings.create(&params, &serde_json::from_value(here)?).await?;
    // A policy takes effect a moment after it was created.
    let probe = json!({"metadata": {"finalizers": ["kbnt.dev/probe"]}});
    until("the policy", || async {
        let taken = shop.patch::<VirtualStock>(&probe).await;
        shop.patch::<VirtualStock>(&json!({"metadata": {"finalizers": null}})).await?;
        expect(taken.is_err(), || "it is not in force".into())
    })
    .await?;

    shop.patch::<VirtualStock>(&json!({"spec": {"topicDeletionPolicy": "Delete"}})).await?;
    let condition = shop.stock_is("FinalizerSet", "False", "Refused").await?;
    expect(condition.message.contains("no finalizers here"), || condition.message.clone())?;
    shop.stock_is("TopicsReady", "True", "TopicsReady").await?;
    let ready = shop.stock_is("Ready", "False", "Refused").await?;
    expect(ready.message.contains("FinalizerSet"), || ready.message.clone())?;

    bindings.delete(name, &DeleteParams::default()).await?;
    policies.delete(name, &DeleteParams::default()).await?;
    // The operator does not learn that a policy is gone: the person who removed it touches the resource.
    let touches = AtomicU32::new(0);
    until("the finalizer", || async {
        let touch = touches.fetch_add(1, Ordering::Relaxed).to_string();
        let touch = json!({"metadata": {"annotations": {"example.com/touch": touch}}});
        let stock = shop.patch::<VirtualStock>(&touch).await?;
        expect(!stock.finalizers().is_empty(), || "none".into())
    })
    .await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    let stock = shop.api::<VirtualStock>().get("main").await?;
    expect(stock.finalizers().len() == 1, || format!("{:?}", stock.finalizers()))?;
    let conditions = stock.status.unwrap_or_default().conditions;
    expect(conditions.iter().all(|c| c.type_ != "FinalizerSet"), || format!("{conditions:?}"))
}

pub(crate) async fn topics_go_with_their_owner_where_that_is_asked_for(suite: &Suite) -> Verdict {
    let (shop, other) = (suite.shop("deletion-delete").await?, suite.shop("deletion-other").await?);
    other.open().await?;
    shop.open().await?;
    let policy = json!({"spec": {"topicDeletionPolicy": "Delete"}});
    shop.patch::<OrderWorkflow>(&policy).await?;
    shop.patch::<VirtualStock>(&policy).await?;
    let stocks = shop.api::<VirtualStock>();
    let workflows = shop.api::<OrderWorkflow>();
    until("the finalizers", || async {
        let both =
            [stocks.get("main").await?.finalizers().len(), workflows.get("main").await?.finalizers().len()];
        expect(both == [1, 1], || format!("{both:?}"))
    })
    .await?;
    // The stock goes first: the workflow finds its topics without it.
    shop.delete::<VirtualStock>().await?;
    shop.delete::<OrderWorkflow>().await?;
    let topics = shop.topics(KAFKA);
    until("the topics' end", || async {
        let left = with_prefix(&topics, "deletion-delete-").await?;
        expect(left.is_empty(), || format!("{} are left", left.len()))
    })
    .await?;
    let others = with_prefix(&topics, "deletion-other-").await?;
    expect(others.len() == 7, || format!("{} topics of the other shop are left", others.len()))?;

    // The policy may be changed, and then nothing waits.
    other.patch::<VirtualStock>(&policy).await?;
    let stocks = other.api::<VirtualStock>();
    until("the finalizer", || async {
        expect(!stocks.get("main").await?.finalizers().is_empty(), || "none".into())
    })
    .await?;
    other.patch::<VirtualStock>(&json!({"spec": {"topicDeletionPolicy": "Retain"}})).await?;
    until("the finalizer's end", || async {
        expect(stocks.get("main").await?.finalizers().is_empty(), || "still there".into())
    })
    .await
}

/// Does the work of the garbage collector.
async fn clear(shop: &crate::harness::Shop) -> Verdict {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
    use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
    use kube::api::DeleteParams;
    let (how, all) = (DeleteParams::default(), ListParams::default());
    shop.api::<Deployment>().delete_collection(&how, &all).await?;
    shop.api::<ServiceAccount>().delete_collection(&how, &all).await?;
    shop.api::<ConfigMap>().delete_collection(&how, &all).await?;
    shop.api::<RoleBinding>().delete_collection(&how, &all).await?;
    shop.api::<Role>().delete_collection(&how, &all).await?;
    for name in shop.names::<Service>().await? {
        shop.api::<Service>().delete(&name, &how).await?;
    }
    Ok(())
}
