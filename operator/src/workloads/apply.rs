//! Makes the objects of services and looks at them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt;

use super::{Scaler, Standby, View, Workload, checkpoints};
use crate::error::Error;
use crate::owned::{Cluster, Owned, ScaledObject};
use crate::ownership::Owner;

/// Makes the objects of these services and the volume that they share. A failure of one does not stop the others.
pub async fn apply(
    cluster: &Cluster,
    owner: &Owner,
    shared: Option<&PersistentVolumeClaim>,
    workloads: &[Workload],
) -> Result<(), Error> {
    let volume = match shared {
        Some(claim) => checkpoints::ensure(cluster, owner, claim).await,
        None => Ok(()),
    };
    // Pods must not write to a volume of somebody else.
    let others = shared.filter(|_| matches!(volume, Err(Error::Held { .. })));
    let mut errors = Vec::from_iter(volume.err());
    let may_run = |workload: &&Workload| !others.is_some_and(|claim| checkpoints::mounts(workload, claim));
    for workload in workloads.iter().filter(may_run) {
        errors.extend(apply_one(cluster, owner, workload).await.err());
    }
    Error::all(errors)
}

/// Makes the objects of this service: identity, address and settings before the pods.
async fn apply_one(cluster: &Cluster, owner: &Owner, workload: &Workload) -> Result<(), Error> {
    let Workload { account, standby, service, config, deployment, budget, scaler } = workload;
    let name = deployment.name_any();
    cluster.ensure(owner, account).await?;
    if let Some(Standby { role, binding }) = standby {
        cluster.ensure(owner, role).await?;
        cluster.ensure(owner, binding).await?;
    }
    // An earlier version of the operator bound a role here that named no lease.
    cluster.remove_known::<RoleBinding>(owner, &name).await?;
    cluster.ensure(owner, service).await?;
    if let Some(config) = config {
        cluster.ensure(owner, config).await?;
    }
    cluster.ensure(owner, deployment).await?;
    ensure_or_remove(cluster, owner, &name, budget.as_ref()).await?;
    apply_scaler(cluster, owner, &name, scaler.as_ref()).await
}

/// Makes the cluster have the wanted object of this name, or none of its kind.
async fn ensure_or_remove<K: Owned>(
    cluster: &Cluster,
    owner: &Owner,
    name: &str,
    wanted: Option<&K>,
) -> Result<(), Error> {
    match wanted {
        Some(object) => cluster.ensure(owner, object).await.map(drop),
        None => cluster.remove_known::<K>(owner, name).await,
    }
}

/// Of the two kinds that can scale a service, the unwanted one is deleted first, because two would contradict
/// each other.
async fn apply_scaler(
    cluster: &Cluster,
    owner: &Owner,
    name: &str,
    wanted: Option<&Scaler>,
) -> Result<(), Error> {
    if !matches!(wanted, Some(Scaler::Processor(_))) {
        cluster.remove_known::<HorizontalPodAutoscaler>(owner, name).await?;
    }
    if !matches!(wanted, Some(Scaler::Lag(_))) {
        cluster.remove_known::<ScaledObject>(owner, name).await?;
    }
    match wanted {
        None => Ok(()),
        Some(Scaler::Processor(scaler)) => cluster.ensure(owner, &**scaler).await.map(drop),
        Some(Scaler::Lag(scaler)) => cluster.ensure(owner, &**scaler).await.map(drop),
    }
}

/// Whether these services are available.
pub fn look(cluster: &Cluster, owner: &Owner, workloads: &[Workload]) -> Vec<View> {
    let view = |workload: &Workload| {
        let live = cluster.live(&workload.deployment).map(|live| live.observed);
        let ours = live.filter(|live| live.controller.as_deref() == Some(owner.uid.as_str()));
        // If the operator does not set the number of pods, the autoscaler's number counts.
        let scaled = || ours.as_ref().map_or(1, |live| live.wanted);
        let desired = workload.deployment.spec.replicas.unwrap_or_else(scaled);
        View::of(&workload.deployment.name_any(), desired, ours.as_ref())
    };
    workloads.iter().map(view).collect()
}

/// Whether any of these services runs already.
pub fn exists(cluster: &Cluster, workloads: &[Workload]) -> bool {
    workloads.iter().any(|workload| cluster.live::<Deployment>(&workload.deployment).is_some())
}

/// Whether no pod from before the last change of these services is left.
pub fn rolled_out(cluster: &Cluster, workloads: &[Workload]) -> bool {
    workloads
        .iter()
        .all(|workload| cluster.live(&workload.deployment).is_some_and(|live| live.observed.rolled_out))
}
