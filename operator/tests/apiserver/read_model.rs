//! The read model: order-service gets a volume for each of its pods.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, PodSpec};
use kbnt_crds::OrderWorkflow;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Failure, Shop, Suite, Verdict, expect, until};

const SERVICE: &str = "main-order-service";

async fn ask(shop: &Shop, read_model: Value) -> Verdict {
    shop.patch::<OrderWorkflow>(&json!({"spec": {"readModel": read_model}})).await.map(drop)
}

async fn pod(shop: &Shop) -> Result<PodSpec, Failure> {
    let live = shop.api::<Deployment>().get(SERVICE).await?;
    live.spec.template.spec.ok_or_else(|| Failure::new("no pod"))
}

/// What its pods claim; `None` if they claim nothing.
fn claim(pod: &PodSpec) -> Option<PersistentVolumeClaimSpec> {
    let volume = pod.volumes.iter().flatten().find(|volume| volume.name == "history")?;
    Some(volume.ephemeral.clone()?.volume_claim_template?.spec)
}

/// Waits until its pods claim a volume of this size.
async fn claims(shop: &Shop, size: &str) -> Result<PodSpec, Failure> {
    until("the claim", || async {
        let pod = pod(shop).await?;
        let requests = claim(&pod).and_then(|claim| claim.resources?.requests).unwrap_or_default();
        let asked = requests.get("storage").map(|storage| storage.0.clone());
        expect(asked.as_deref() == Some(size), || format!("{asked:?}")).map(|()| pod)
    })
    .await
}

pub(crate) async fn order_service_gets_a_volume_for_each_pod_and_no_other_service_changes(
    suite: &Suite,
) -> Verdict {
    let shop = suite.shop("read-model").await?;
    shop.open().await?;
    let deployments = shop.api::<Deployment>();
    let before = deployments.list(&ListParams::default()).await?.items;

    let asked = json!({"size": "0.5Ti", "storageClassName": "fast", "accessModes": ["ReadWriteOncePod"]});
    ask(&shop, json!({"volumeClaim": asked, "retention": "8760h"})).await?;
    // As the API server writes it.
    let made = claims(&shop, "512Gi").await?;
    let claimed = claim(&made).unwrap_or_default();
    expect(claimed.storage_class_name.as_deref() == Some("fast"), || format!("{claimed:?}"))?;
    expect(claimed.access_modes == Some(vec!["ReadWriteOncePod".into()]), || format!("{claimed:?}"))?;
    let group = made.security_context.and_then(|security| security.fs_group);
    expect(group == Some(65_532), || format!("{group:?}"))?;
    let env = made.containers[0].env.iter().flatten();
    let retention = env.filter(|variable| variable.name == "KBNT_HISTORY_RETENTION").count();
    expect(retention == 1, || "the retention is not passed on".into())?;
    shop.workflow_is("Ready", "True", "Ready").await?;

    // Another volume makes other pods; nothing is fixed.
    let generation = || async { Ok::<_, Failure>(deployments.get(SERVICE).await?.metadata.generation) };
    let first = generation().await?;
    ask(&shop, json!({"volumeClaim": {"size": "20Gi", "storageClassName": null}})).await?;
    claims(&shop, "20Gi").await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let second = generation().await?;
    expect(second > first, || format!("{first:?} {second:?}"))?;

    ask(&shop, Value::Null).await?;
    until("the pods of before", || async {
        let spec = |name: &str, all: &[Deployment]| -> Option<DeploymentSpec> {
            Some(all.iter().find(|made| made.name_any() == name)?.spec.clone())
        };
        let now = deployments.list(&ListParams::default()).await?.items;
        expect(spec(SERVICE, &now) == spec(SERVICE, &before), || format!("{:?}", spec(SERVICE, &now)))
    })
    .await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    for old in before.iter().filter(|old| old.name_any() != SERVICE) {
        let new = deployments.get(&old.name_any()).await?;
        expect(new.metadata.generation == old.metadata.generation, || format!("{} changed", old.name_any()))?;
    }
    Ok(())
}

pub(crate) async fn a_volume_that_somebody_takes_away_is_put_back(suite: &Suite) -> Verdict {
    let shop = suite.shop("read-model-drift").await?;
    shop.open().await?;
    ask(&shop, json!({"volumeClaim": {"size": "20Gi"}})).await?;
    claims(&shop, "20Gi").await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    let smaller = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    for other in [
        json!({"name": "history", "emptyDir": {}}),
        json!({"name": "history", "ephemeral": {"volumeClaimTemplate": {"spec": smaller}}}),
    ] {
        let change = Patch::Merge(json!({"spec": {"template": {"spec": {"volumes": [other]}}}}));
        shop.api::<Deployment>().patch(SERVICE, &PatchParams::default(), &change).await?;
        claims(&shop, "20Gi").await?;
    }
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn a_volume_that_cannot_be_had_is_reported_while_earlier_pods_serve(
    suite: &Suite,
) -> Verdict {
    let shop = suite.shop("read-model-stuck").await?;
    shop.open().await?;
    ask(&shop, json!({"volumeClaim": {"size": "1Gi", "storageClassName": "misspelt"}})).await?;
    claims(&shop, "1Gi").await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    // What the Deployment controller says when the new pod has waited for its volume for too long.
    let late = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
        "message": "ReplicaSet has timed out progressing."});
    let change = Patch::Merge(json!({"status": {"conditions": [late]}}));
    shop.api::<Deployment>().patch_status(SERVICE, &PatchParams::default(), &change).await?;
    until("the message", || async {
        let condition = shop.workflow_is("WorkloadsAvailable", "True", "Available").await?;
        let reported =
            condition.message.contains("main-order-service: ReplicaSet has timed out progressing.");
        expect(reported, || condition.message.clone())
    })
    .await?;
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}
