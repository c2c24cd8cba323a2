//! Checkpoints: where services keep them, and what their pods get for it.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, PersistentVolumeClaim, ServiceAccount};
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Failure, Shop, Suite, Verdict, apply_manifest, expect, until};

/// The services that keep checkpoints.
const KEEPERS: [&str; 3] = ["main-inventory-service", "main-user-service", "main-audit-service"];

/// Asks for checkpoints in both resources.
async fn ask(shop: &Shop, asked: &Value) -> Verdict {
    let change = json!({"spec": {"checkpoints": asked}});
    shop.patch::<VirtualStock>(&change).await?;
    shop.patch::<OrderWorkflow>(&change).await.map(drop)
}

async fn both_are_ready(shop: &Shop) -> Verdict {
    shop.stock_is("Ready", "True", "Ready").await?;
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}

async fn container(shop: &Shop, service: &str) -> Result<Container, Failure> {
    let live = shop.api::<Deployment>().get(service).await?;
    let mut containers = live.spec.template.spec.unwrap_or_default().containers;
    containers.pop().ok_or_else(|| Failure::new("no container"))
}

fn variable<'a>(container: &'a Container, name: &str) -> Option<&'a EnvVar> {
    container.env.iter().flatten().find(|variable| variable.name == name)
}

/// Waits until the services that keep checkpoints keep them here.
async fn kept_at(shop: &Shop, place: &str, interval: &str) -> Verdict {
    for service in KEEPERS {
        until("the place", || async {
            let container = container(shop, service).await?;
            let value = |name: &str| variable(&container, name)?.value.clone();
            let found = (value("KBNT_CHECKPOINT_TO"), value("KBNT_CHECKPOINT_INTERVAL"));
            expect(found == (Some(place.into()), Some(interval.into())), || format!("{service}: {found:?}"))
        })
        .await?;
    }
    both_are_ready(shop).await
}

/// Waits until each Deployment is what it was, and checks that no service but those that keep checkpoints ever changed.
async fn all_is_as_before(shop: &Shop, before: &[Deployment]) -> Verdict {
    for old in before {
        let name = old.name_any();
        until("the pods of before", || async {
            let now = shop.api::<Deployment>().get(&name).await?;
            let unchanged = now.metadata.generation == old.metadata.generation;
            expect(now.spec == old.spec, || format!("{:?}", now.spec))?;
            expect(unchanged != KEEPERS.contains(&name.as_str()), || format!("{name}: {unchanged}"))
        })
        .await?;
    }
    Ok(())
}

pub(crate) async fn pods_get_the_keys_of_the_secret_that_the_program_reads_and_no_others(
    suite: &Suite,
) -> Verdict {
    let shop = suite.shop("checkpoints").await?;
    shop.open().await?;
    let before = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    ask(&shop, &json!({"objectStore": {"url": "s3://shop/main"}})).await?;
    kept_at(&shop, "s3://shop/main", "5m").await?;
    for service in KEEPERS {
        let container = container(&shop, service).await?;
        let stores: Vec<_> =
            container.env.iter().flatten().filter(|made| made.name.starts_with("AWS_")).collect();
        expect(stores.is_empty(), || format!("{service}: {stores:?}"))?;
    }
    let with_secret = json!({"url": "s3://other/a/b/", "secretRef": {"name": "bucket"}});
    ask(&shop, &json!({"interval": "30s", "objectStore": with_secret})).await?;
    kept_at(&shop, "s3://other/a/b/", "30s").await?;
    for service in KEEPERS {
        let container = container(&shop, service).await?;
        let of_secret = container.env.iter().flatten().filter_map(|made| {
            let key = made.value_from.as_ref()?.secret_key_ref.as_ref()?;
            let fits = key.name == "bucket" && key.optional == Some(true) && key.key == made.name;
            fits.then_some(made.name.as_str())
        });
        let names: BTreeSet<_> = of_secret.collect();
        expect(names.len() == 8 && names.contains("AWS_SESSION_TOKEN"), || format!("{service}: {names:?}"))?;
        expect(container.env_from.iter().flatten().count() == 0, || format!("{:?}", container.env_from))?;
    }
    ask(&shop, &Value::Null).await?;
    all_is_as_before(&shop, &before).await?;
    both_are_ready(&shop).await
}

/// What the documentation tells people to do when the Secret changes, or instead of a Secret.
pub(crate) async fn a_restart_by_hand_and_an_identity_of_the_account_are_left_alone(
    suite: &Suite,
) -> Verdict {
    let shop = suite.shop("checkpoints-restart").await?;
    shop.open().await?;
    let (deployments, accounts) = (shop.api::<Deployment>(), shop.api::<ServiceAccount>());
    let service = "main-inventory-service";
    let note = |key: &str| json!({"metadata": {"annotations": {key: "x"}}});
    let restart = json!({"spec": {"template": note("kubectl.kubernetes.io/restartedAt")}});
    let merge = PatchParams::default();
    deployments.patch(service, &merge, &Patch::Merge(restart)).await?;
    accounts.patch(service, &merge, &Patch::Merge(note("eks.amazonaws.com/role-arn"))).await?;
    // The operator has seen both by the time that it has acted on this.
    ask(&shop, &json!({"objectStore": {"url": "s3://shop/main"}})).await?;
    kept_at(&shop, "s3://shop/main", "5m").await?;
    let live = deployments.get(service).await?.spec.template.metadata;
    let annotations = live.and_then(|meta| meta.annotations).unwrap_or_default();
    expect(annotations.contains_key("kubectl.kubernetes.io/restartedAt"), || format!("{annotations:?}"))?;
    let account = accounts.get(service).await?;
    expect(account.annotations().contains_key("eks.amazonaws.com/role-arn"), || format!("{account:?}"))
}

/// Where pods mount the volume.
const FOLDER: &str = "/var/lib/kbnt/checkpoints";
/// The claims of both resources, and who owns them.
const CLAIMS: [(&str, &str); 2] =
    [("main-stock-checkpoints", "VirtualStock"), ("main-order-checkpoints", "OrderWorkflow")];

fn size(claim: &PersistentVolumeClaim) -> Option<String> {
    Some(claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?.get("storage")?.0.clone())
}

/// Waits until both claims have this size.
async fn claims_are(shop: &Shop, wanted: &str) -> Verdict {
    for (name, kind) in CLAIMS {
        until("the claim", || async {
            let claim = shop.api::<PersistentVolumeClaim>().get(name).await?;
            let owner = claim.owner_references().first().map(|owner| owner.kind.as_str());
            let found = (size(&claim), owner);
            expect(found == (Some(wanted.into()), Some(kind)), || format!("{name}: {found:?}"))
        })
        .await?;
    }
    Ok(())
}

pub(crate) async fn a_resource_has_one_volume_that_outlives_its_pods(suite: &Suite) -> Verdict {
    let shop = suite.shop("checkpoints-volume").await?;
    shop.open().await?;
    let before = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    let asked = json!({"size": "0.5Ti", "storageClassName": "nfs", "accessMode": "ReadWriteMany"});
    ask(&shop, &json!({"interval": "1m", "volumeClaim": asked})).await?;
    // As the API server writes it.
    claims_are(&shop, "512Gi").await?;
    kept_at(&shop, FOLDER, "1m").await?;
    for service in KEEPERS {
        let pod = shop.api::<Deployment>().get(service).await?.spec.template.spec.unwrap_or_default();
        let (name, _) = CLAIMS[usize::from(service != KEEPERS[0])];
        let mut sources =
            pod.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        expect(sources.any(|source| source.claim_name == name), || format!("{service}: {:?}", pod.volumes))?;
        let mounts = pod.containers[0].volume_mounts.iter().flatten();
        let mount = mounts.into_iter().find(|mount| mount.mount_path == FOLDER);
        expect(mount.is_some_and(|mount| mount.read_only != Some(true)), || format!("{mount:?}"))?;
        let security = pod.security_context.unwrap_or_default();
        expect(security.fs_group == Some(65_532), || format!("{service}: {security:?}"))?;
    }
    let claim = shop.api::<PersistentVolumeClaim>().get(CLAIMS[0].0).await?;
    let spec = claim.spec.clone().unwrap_or_default();
    let given = (spec.storage_class_name.as_deref(), spec.access_modes.as_deref());
    expect(given == (Some("nfs"), Some(&["ReadWriteMany".to_owned()])), || format!("{given:?}"))?;

    // The claim stays where nobody asks for it any more, and is used again as large as it is.
    ask(&shop, &Value::Null).await?;
    all_is_as_before(&shop, &before).await?;
    both_are_ready(&shop).await?;
    claims_are(&shop, "512Gi").await?;
    let asked = json!({"size": "1Gi", "storageClassName": "nfs", "accessMode": "ReadWriteMany"});
    ask(&shop, &json!({"volumeClaim": asked})).await?;
    kept_at(&shop, FOLDER, "5m").await?;
    claims_are(&shop, "512Gi").await?;
    let again = shop.api::<PersistentVolumeClaim>().get(CLAIMS[0].0).await?;
    expect(again.uid() == claim.uid(), || "another claim".into())
}

/// Waits until order-service keeps checkpoints here, or none.
async fn order_service_keeps(shop: &Shop, place: Option<&str>) -> Verdict {
    until("the place of order-service", || async {
        let container = container(shop, "main-order-service").await?;
        let found = variable(&container, "KBNT_CHECKPOINT_TO").and_then(|made| made.value.clone());
        expect(found.as_deref() == place, || format!("{found:?}"))
    })
    .await
}

pub(crate) async fn order_service_keeps_them_of_its_history(suite: &Suite) -> Verdict {
    let shop = suite.shop("checkpoints-history").await?;
    shop.open().await?;
    let change = |asked: Value| {
        let shop = &shop;
        async move { shop.patch::<OrderWorkflow>(&json!({"spec": asked})).await.map(drop) }
    };
    change(json!({"checkpoints": {"volumeClaim": {"size": "1Gi"}}})).await?;
    let claims = shop.api::<PersistentVolumeClaim>();
    until("the claim", || async { Ok(claims.get(CLAIMS[1].0).await?) }).await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    order_service_keeps(&shop, None).await?;
    change(json!({"readModel": {"volumeClaim": {"size": "1Gi"}}})).await?;
    order_service_keeps(&shop, Some(FOLDER)).await?;
    let pod =
        shop.api::<Deployment>().get("main-order-service").await?.spec.template.spec.unwrap_or_default();
    let shared = pod.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    let names: Vec<_> = shared.map(|source| source.claim_name.as_str()).collect();
    expect(names == [CLAIMS[1].0], || format!("{names:?}"))?;
    change(json!({"checkpoints": {"volumeClaim": null, "objectStore": {"url": "s3://shop/main"}}})).await?;
    order_service_keeps(&shop, Some("s3://shop/main")).await?;
    change(json!({"readModel": null})).await?;
    order_service_keeps(&shop, None).await?;
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn a_claim_that_somebody_changes_or_takes_away_is_put_right(suite: &Suite) -> Verdict {
    let shop = suite.shop("checkpoints-drift").await?;
    shop.open().await?;
    ask(&shop, &json!({"volumeClaim": {"size": "1Gi"}})).await?;
    claims_are(&shop, "1Gi").await?;
    both_are_ready(&shop).await?;
    let (claims, merge) = (shop.api::<PersistentVolumeClaim>(), PatchParams::default());
    let (name, _) = CLAIMS[0];
    let label = "app.kubernetes.io/component";
    let change = Patch::Merge(json!({"metadata": {"labels": {label: "other"}}}));
    claims.patch(name, &merge, &change).await?;
    until("the label", || async {
        let claim = claims.get(name).await?;
        expect(claim.labels()[label] == "stock-checkpoints", || format!("{:?}", claim.labels()))
    })
    .await?;

    let first = claims.get(name).await?.uid();
    claims.delete(name, &DeleteParams::default()).await?;
    // No pod uses it, so Kubernetes would let go of it.
    claims.patch(name, &merge, &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await?;
    until("another claim", || async {
        let claim = claims.get(name).await?;
        expect(claim.uid() != first && size(&claim).as_deref() == Some("1Gi"), || format!("{claim:?}"))
    })
    .await?;
    both_are_ready(&shop).await
}

pub(crate) async fn a_claim_grows_and_what_is_refused_holds_up_no_service(suite: &Suite) -> Verdict {
    let shop = suite.shop("checkpoints-growth").await?;
    shop.open().await?;
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "grows"},
        "provisioner": "example.com/none", "allowVolumeExpansion": true});
    apply_manifest(&suite.client, &class.to_string()).await?;
    let volume = |class: &str, size: &str| json!({"volumeClaim": {"size": size, "storageClassName": class}});
    let (stock, order) = (CLAIMS[0].0, CLAIMS[1].0);
    let claims = shop.api::<PersistentVolumeClaim>();
    shop.patch::<VirtualStock>(&json!({"spec": {"checkpoints": volume("grows", "1Gi")}})).await?;
    shop.patch::<OrderWorkflow>(&json!({"spec": {"checkpoints": volume("grows", "1Gi")}})).await?;
    claims_are(&shop, "1Gi").await?;
    // As Kubernetes would: only what is bound can grow.
    let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    claims.patch_status(stock, &PatchParams::default(), &Patch::Merge(bound)).await?;
    shop.patch::<VirtualStock>(&json!({"spec": {"checkpoints": volume("grows", "2Gi")}})).await?;
    until("the claim to grow", || async {
        let found = size(&claims.get(stock).await?);
        expect(found.as_deref() == Some("2Gi"), || format!("{found:?}"))
    })
    .await?;
    // What somebody else gives it, it keeps.
    let more = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    claims.patch(stock, &PatchParams::default(), &Patch::Merge(more)).await?;
    let more = json!({"interval": "7m", "volumeClaim": {"size": "2.5Gi"}});
    shop.patch::<VirtualStock>(&json!({"spec": {"checkpoints": more}})).await?;
    until("the change", || async {
        let container = container(&shop, KEEPERS[0]).await?;
        let interval = variable(&container, "KBNT_CHECKPOINT_INTERVAL").and_then(|made| made.value.clone());
        expect(interval.as_deref() == Some("7m"), || format!("{interval:?}"))
    })
    .await?;
    shop.stock_is("Ready", "True", "Ready").await?;
    let kept = size(&claims.get(stock).await?);
    expect(kept.as_deref() == Some("3Gi"), || format!("{kept:?}"))?;

    // Another class than that of the claim: the API server says so, and the services go on.
    shop.patch::<OrderWorkflow>(&json!({"spec": {"checkpoints": null}})).await?;
    let mut other = volume("other", "1Gi");
    other["interval"] = "7m".into();
    shop.patch::<OrderWorkflow>(&json!({"spec": {"checkpoints": other}})).await?;
    let condition = shop.workflow_is("WorkloadsAvailable", "False", "Refused").await?;
    expect(condition.message.contains(order), || condition.message.clone())?;
    until("the service to go on", || async {
        let container = container(&shop, KEEPERS[1]).await?;
        let interval = variable(&container, "KBNT_CHECKPOINT_INTERVAL").and_then(|made| made.value.clone());
        expect(interval.as_deref() == Some("7m"), || format!("{interval:?}"))
    })
    .await?;
    // A refused request is repeated, and a later test would count it as a write.
    shop.patch::<OrderWorkflow>(&json!({"spec": {"checkpoints": null}})).await?;
    shop.workflow_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn a_claim_of_somebody_else_is_reported_and_left_alone(suite: &Suite) -> Verdict {
    let shop = suite.shop("checkpoints-taken").await?;
    shop.open().await?;
    let (name, _) = CLAIMS[0];
    let theirs: PersistentVolumeClaim = serde_json::from_value(json!({"metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}}))?;
    shop.create(&theirs).await?;
    let before = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    let volume = json!({"spec": {"checkpoints": {"volumeClaim": {"size": "1Gi"}}}});
    shop.patch::<OrderWorkflow>(&volume).await?;
    shop.patch::<VirtualStock>(&volume).await?;
    let condition = shop.stock_is("WorkloadsAvailable", "False", "NameTaken").await?;
    expect(condition.message.contains(name), || condition.message.clone())?;
    for old in before {
        let service = old.name_any();
        until("the pods that have a claim of their own", || async {
            let now = shop.api::<Deployment>().get(&service).await?.metadata.generation;
            let changes = KEEPERS[1..].contains(&service.as_str());
            expect((now != old.metadata.generation) == changes, || service.clone())
        })
        .await?;
    }
    let live = shop.api::<PersistentVolumeClaim>().get(name).await?;
    expect(size(&live).as_deref() == Some("5Gi") && live.owner_references().is_empty(), || {
        format!("{live:?}")
    })?;
    ask(&shop, &Value::Null).await?;
    both_are_ready(&shop).await
}
