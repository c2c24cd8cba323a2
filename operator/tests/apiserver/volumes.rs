//! Volumes of single pods: order-service's for the history, inventory-service's for closed orders.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimSpec, PodSpec, Volume};
use kbnt_crds::{Condition, OrderWorkflow, VirtualStock};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::{Failure, Shop, Suite, Verdict, expect, until};

/// A service whose pods may claim a volume.
#[derive(Clone, Copy)]
enum Keeper {
    /// order-service, with `readModel`.
    Order,
    /// inventory-service, with `closedOrders`.
    Inventory,
}

impl Keeper {
    const ALL: [Self; 2] = [Self::Order, Self::Inventory];

    fn service(self) -> &'static str {
        match self {
            Self::Order => "main-order-service",
            Self::Inventory => "main-inventory-service",
        }
    }

    fn volume_name(self) -> &'static str {
        match self {
            Self::Order => "history",
            Self::Inventory => "closed-orders",
        }
    }

    /// Sets the part of its resource that asks for the volume.
    async fn ask(self, shop: &Shop, asked: Value) -> Verdict {
        match self {
            Self::Order => {
                shop.patch::<OrderWorkflow>(&json!({"spec": {"readModel": asked}})).await.map(drop)
            }
            Self::Inventory => {
                shop.patch::<VirtualStock>(&json!({"spec": {"closedOrders": asked}})).await.map(drop)
            }
        }
    }

    /// Waits for a condition of its resource.
    async fn is(self, shop: &Shop, of_type: &str, reason: &str) -> Result<Condition, Failure> {
        match self {
            Self::Order => shop.workflow_is(of_type, "True", reason).await,
            Self::Inventory => shop.stock_is(of_type, "True", reason).await,
        }
    }

    async fn pod(self, shop: &Shop) -> Result<PodSpec, Failure> {
        let live = shop.api::<Deployment>().get(self.service()).await?;
        live.spec.template.spec.ok_or_else(|| Failure::new("no pod"))
    }

    fn volume(self, pod: &PodSpec) -> Option<Volume> {
        pod.volumes.iter().flatten().find(|volume| volume.name == self.volume_name()).cloned()
    }

    /// What its pods claim; `None` if they claim nothing.
    fn claim(self, pod: &PodSpec) -> Option<PersistentVolumeClaimSpec> {
        Some(self.volume(pod)?.ephemeral?.volume_claim_template?.spec)
    }

    /// Waits until its pods claim a volume of this size.
    async fn claims(self, shop: &Shop, size: &str) -> Result<PodSpec, Failure> {
        until("the claim", || async {
            let pod = self.pod(shop).await?;
            let requests = self.claim(&pod).and_then(|claim| claim.resources?.requests).unwrap_or_default();
            let asked = requests.get("storage").map(|storage| storage.0.clone());
            expect(asked.as_deref() == Some(size), || format!("{asked:?}")).map(|()| pod)
        })
        .await
    }

    /// Asks for a volume with all settings, then for another one, then for none, and waits each time. Returns the pod with the
    /// first one.
    async fn goes_through_claims(self, shop: &Shop, more: &Value, none: Value) -> Result<PodSpec, Failure> {
        let with = |claim: Value| {
            let mut asked = more.clone();
            asked["volumeClaim"] = claim;
            asked
        };
        let before = self.spec(shop).await?;
        let asked = json!({"size": "0.5Ti", "storageClassName": "fast", "accessModes": ["ReadWriteOncePod"]});
        self.ask(shop, with(asked)).await?;
        // As the API server writes it.
        let made = self.claims(shop, "512Gi").await?;
        let claimed = self.claim(&made).unwrap_or_default();
        expect(claimed.storage_class_name.as_deref() == Some("fast"), || format!("{claimed:?}"))?;
        expect(claimed.access_modes == Some(vec!["ReadWriteOncePod".into()]), || format!("{claimed:?}"))?;
        let group = made.security_context.as_ref().and_then(|security| security.fs_group);
        expect(group == Some(65_532), || format!("{group:?}"))?;
        self.is(shop, "Ready", "Ready").await?;

        // Another volume makes other pods; nothing is fixed.
        let generation = || async {
            Ok::<_, Failure>(shop.api::<Deployment>().get(self.service()).await?.metadata.generation)
        };
        let first = generation().await?;
        self.ask(shop, json!({"volumeClaim": {"size": "20Gi", "storageClassName": null}})).await?;
        self.claims(shop, "20Gi").await?;
        self.is(shop, "Ready", "Ready").await?;
        let second = generation().await?;
        expect(second > first, || format!("{first:?} {second:?}"))?;

        self.ask(shop, none).await?;
        until("the pods of before", || async {
            let now = self.spec(shop).await?;
            expect(now == before, || format!("{now:?}"))
        })
        .await?;
        self.is(shop, "Ready", "Ready").await?;
        Ok(made)
    }

    /// As somebody else would.
    async fn replace_volume(self, shop: &Shop, volume: Value) -> Verdict {
        let change = Patch::Strategic(json!({"spec": {"template": {"spec": {"volumes": [volume]}}}}));
        shop.api::<Deployment>().patch(self.service(), &PatchParams::default(), &change).await?;
        Ok(())
    }

    async fn spec(self, shop: &Shop) -> Result<DeploymentSpec, Failure> {
        Ok(shop.api::<Deployment>().get(self.service()).await?.spec)
    }
}

/// The value of a variable of the pod.
fn value(pod: &PodSpec, name: &str) -> Option<String> {
    let found = pod.containers[0].env.iter().flatten().find(|variable| variable.name == name)?;
    found.value.clone()
}

/// Checks that no Deployment differs from what it was but these.
async fn others_are_unchanged(shop: &Shop, before: &[Deployment], changed: &[&str]) -> Verdict {
    for old in before.iter().filter(|old| !changed.contains(&old.name_any().as_str())) {
        let new = shop.api::<Deployment>().get(&old.name_any()).await?;
        expect(new.metadata.generation == old.metadata.generation, || format!("{} changed", old.name_any()))?;
    }
    Ok(())
}

pub(crate) async fn order_service_gets_a_volume_for_each_pod_and_no_other_service_changes(
    suite: &Suite,
) -> Verdict {
    let shop = suite.shop("read-model").await?;
    shop.open().await?;
    let before = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    let year = json!({"retention": "8760h"});
    let made = Keeper::Order.goes_through_claims(&shop, &year, Value::Null).await?;
    let retention = value(&made, "KBNT_HISTORY_RETENTION");
    expect(retention.as_deref() == Some("8760h"), || format!("{retention:?}"))?;
    others_are_unchanged(&shop, &before, &[Keeper::Order.service()]).await
}

pub(crate) async fn order_service_reads_the_address_of_a_database_in_a_file_and_claims_nothing(
    suite: &Suite,
) -> Verdict {
    let shop = suite.shop("shared-read-model").await?;
    shop.open().await?;
    let before = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    let keeper = Keeper::Order;
    keeper.ask(&shop, json!({"volumeClaim": {"size": "20Gi"}})).await?;
    keeper.claims(&shop, "20Gi").await?;
    let shared = json!({"volumeClaim": null, "postgres": {"secretRef": {"name": "db", "key": "uri"}}});
    keeper.ask(&shop, shared).await?;
    let path = "/etc/kbnt/history-postgres/uri";
    let pod = until("the file", || async {
        let pod = keeper.pod(&shop).await?;
        let given = value(&pod, "KBNT_HISTORY_POSTGRES_URL_FILE");
        expect(given.as_deref() == Some(path), || format!("{given:?}")).map(|()| pod)
    })
    .await?;
    let given = (value(&pod, "KBNT_HISTORY_POSTGRES"), value(&pod, "KBNT_HISTORY_DIR"));
    expect(given == (Some("true".into()), None), || format!("{given:?}"))?;
    expect(keeper.volume(&pod).is_none(), || "it still claims a volume".to_owned())?;
    let secret = pod.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref());
    let secret = secret.filter(|secret| secret.secret_name.as_deref() == Some("db")).count();
    expect(secret == 1, || format!("{:?}", pod.volumes))?;
    keeper.is(&shop, "Ready", "Ready").await?;
    others_are_unchanged(&shop, &before, &[keeper.service()]).await
}

pub(crate) async fn inventory_service_has_a_volume_with_a_claim_and_without(suite: &Suite) -> Verdict {
    let shop = suite.shop("closed-orders").await?;
    shop.open().await?;
    let before = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    let pod = Keeper::Inventory.pod(&shop).await?;
    let on_node = Keeper::Inventory.volume(&pod).and_then(|volume| volume.empty_dir?.size_limit);
    expect(on_node.as_ref().is_some_and(|limit| limit.0 == "8Gi"), || format!("{on_node:?}"))?;
    let window = json!({"window": "720h"});
    // As the API server completes it.
    let made = Keeper::Inventory
        .goes_through_claims(&shop, &window, json!({"window": null, "volumeClaim": null}))
        .await?;
    for (pod, wanted) in [(&pod, "168h"), (&made, "720h")] {
        let window = value(pod, "KBNT_CLOSED_ORDER_WINDOW");
        expect(window.as_deref() == Some(wanted), || format!("{window:?}"))?;
    }
    let folder = value(&made, "KBNT_STATE_DIR");
    expect(folder.as_deref() == Some("/var/lib/kbnt/closed-orders"), || format!("{folder:?}"))?;
    others_are_unchanged(&shop, &before, &[Keeper::Inventory.service(), "main-user-service"]).await
}

pub(crate) async fn the_window_of_a_stock_reaches_the_user_service_of_its_workflow(suite: &Suite) -> Verdict {
    let shop = suite.shop("closed-window").await?;
    shop.open().await?;
    let before = shop.api::<Deployment>().list(&ListParams::default()).await?.items;
    let services = [Keeper::Inventory.service(), "main-user-service"];
    for window in ["24h", "8760h"] {
        Keeper::Inventory.ask(&shop, json!({"window": window})).await?;
        for service in services {
            until("the window", || async {
                let pod = shop.api::<Deployment>().get(service).await?.spec.template.spec.unwrap_or_default();
                let given = value(&pod, "KBNT_CLOSED_ORDER_WINDOW");
                expect(given.as_deref() == Some(window), || format!("{service}: {given:?}"))
            })
            .await?;
        }
    }
    shop.stock_is("Ready", "True", "Ready").await?;
    shop.workflow_is("Ready", "True", "Ready").await?;
    others_are_unchanged(&shop, &before, &services).await
}

pub(crate) async fn a_volume_that_somebody_takes_away_is_put_back(suite: &Suite) -> Verdict {
    let shop = suite.shop("volume-drift").await?;
    shop.open().await?;
    for keeper in Keeper::ALL {
        keeper.ask(&shop, json!({"volumeClaim": {"size": "20Gi"}})).await?;
        keeper.claims(&shop, "20Gi").await?;
        keeper.is(&shop, "Ready", "Ready").await?;
        let name = keeper.volume_name();
        let smaller =
            json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
        for other in [
            json!({"name": name, "emptyDir": {}, "$retainKeys": ["name", "emptyDir"]}),
            json!({"name": name, "ephemeral": {"volumeClaimTemplate": {"spec": smaller}}}),
        ] {
            keeper.replace_volume(&shop, other).await?;
            keeper.claims(&shop, "20Gi").await?;
        }
        keeper.is(&shop, "Ready", "Ready").await?;
    }
    // The one on the node's disk, too.
    Keeper::Inventory.ask(&shop, json!({"volumeClaim": null})).await?;
    let is_on_node = || {
        until("the folder on the node", || async {
            let volume = Keeper::Inventory.volume(&Keeper::Inventory.pod(&shop).await?);
            let limit = volume.as_ref().and_then(|volume| volume.empty_dir.as_ref()?.size_limit.as_ref());
            expect(limit.is_some_and(|limit| limit.0 == "8Gi"), || format!("{volume:?}"))
        })
    };
    is_on_node().await?;
    let large = json!({"name": Keeper::Inventory.volume_name(), "emptyDir": {"sizeLimit": "1Ti"}});
    Keeper::Inventory.replace_volume(&shop, large).await?;
    is_on_node().await?;
    shop.stock_is("Ready", "True", "Ready").await.map(drop)
}

pub(crate) async fn a_volume_that_cannot_be_had_is_reported_while_earlier_pods_serve(
    suite: &Suite,
) -> Verdict {
    let shop = suite.shop("volume-stuck").await?;
    shop.open().await?;
    for keeper in Keeper::ALL {
        keeper.ask(&shop, json!({"volumeClaim": {"size": "1Gi", "storageClassName": "misspelt"}})).await?;
        keeper.claims(&shop, "1Gi").await?;
        keeper.is(&shop, "Ready", "Ready").await?;
        // What the Deployment controller says when the new pod has waited for its volume for too long.
        let late = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
            "message": "ReplicaSet has timed out progressing."});
        let change = Patch::Merge(json!({"status": {"conditions": [late]}}));
        shop.api::<Deployment>().patch_status(keeper.service(), &PatchParams::default(), &change).await?;
        until("the message", || async {
            let condition = keeper.is(&shop, "WorkloadsAvailable", "Available").await?;
            let said = format!("{}: ReplicaSet has timed out progressing.", keeper.service());
            expect(condition.message.contains(&said), || condition.message.clone())
        })
        .await?;
        keeper.is(&shop, "Ready", "Ready").await?;
    }
    Ok(())
}
