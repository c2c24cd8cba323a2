//! Checkpoints: where services keep them, and what their pods get for it.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, EnvVar, ServiceAccount};
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Failure, Shop, Suite, Verdict, expect, until};

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
