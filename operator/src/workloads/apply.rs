//! Makes the objects of services and looks at them.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::ApiResource;
use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::{Scaler, Standby, View, Workload, scaled_objects};
use crate::context::Context;
use crate::error::Error;
use crate::kube::{MetadataCache, Wanted};
use crate::ownership::Owner;

/// Makes the cluster have these services, as far as it can: one that cannot be made holds up none of the others.
pub async fn apply(context: &Context, owner: &Owner, workloads: &[Workload]) -> Result<(), Error> {
    let mut errors = Vec::new();
    for workload in workloads {
        errors.extend(apply_one(context, owner, workload).await.err());
    }
    Error::all(errors)
}

/// Makes the cluster have this service: its identity, address and settings before its pods.
async fn apply_one(context: &Context, owner: &Owner, workload: &Workload) -> Result<(), Error> {
    let stores = &context.stores;
    let Workload { account, standby, service, config, deployment, budget, scaler } = workload;
    ensure(context, owner, account, note(&stores.accounts, account)).await?;
    if let Some(Standby { role, binding }) = standby {
        ensure(context, owner, role, note(&stores.roles, role)).await?;
        ensure(context, owner, binding, note(&stores.bindings, binding)).await?;
    }
    // An operator of before bound a role to it that named no lease.
    if note(&stores.bindings, account).is_some() {
        remove(context, owner, deployment, &ApiResource::erase::<RoleBinding>(&())).await?;
    }
    ensure(context, owner, service, note(&stores.services, service)).await?;
    if let Some(config) = config {
        ensure(context, owner, config, note(&stores.configs, config)).await?;
    }
    let known = note(&stores.deployments, deployment).map(|note| note.fingerprint);
    ensure(context, owner, deployment, known).await?;
    apply_budget(context, owner, deployment, budget.as_ref()).await?;
    apply_scaler(context, owner, deployment, scaler.as_ref()).await
}

async fn apply_budget(
    context: &Context,
    owner: &Owner,
    deployment: &Deployment,
    wanted: Option<&PodDisruptionBudget>,
) -> Result<(), Error> {
    let known = note(&context.stores.budgets, deployment);
    match (wanted, known) {
        (Some(budget), known) => ensure(context, owner, budget, known).await,
        (None, Some(_)) => {
            remove(context, owner, deployment, &ApiResource::erase::<PodDisruptionBudget>(&())).await
        }
        (None, None) => Ok(()),
    }
}

/// Of the two that can scale a service, the one that is not wanted goes first, as two would contradict each other.
async fn apply_scaler(
    context: &Context,
    owner: &Owner,
    deployment: &Deployment,
    wanted: Option<&Scaler>,
) -> Result<(), Error> {
    let keda = context.scaled_objects();
    let known = (
        note(&context.stores.scalers, deployment),
        keda.as_ref().and_then(|scaled| note(scaled, deployment)),
    );
    if known.0.is_some() && !matches!(wanted, Some(Scaler::Processor(_))) {
        remove(context, owner, deployment, &ApiResource::erase::<HorizontalPodAutoscaler>(&())).await?;
    }
    if known.1.is_some() && !matches!(wanted, Some(Scaler::Lag(_))) {
        remove(context, owner, deployment, &scaled_objects()).await?;
    }
    match wanted {
        None => Ok(()),
        Some(Scaler::Processor(scaler)) => ensure(context, owner, &**scaler, known.0).await,
        Some(Scaler::Lag(scaler)) => {
            let wanted = Wanted::new(&**scaler, scaled_objects())?;
            let holder = |meta: &_| owner.other_controller(meta);
            context.objects.ensure(&owner.uid, &wanted, known.1, holder).await.map(drop)
        }
    }
}

/// Deletes the object of this kind that has the name of a Deployment.
async fn remove(
    context: &Context,
    owner: &Owner,
    deployment: &Deployment,
    resource: &ApiResource,
) -> Result<(), Error> {
    let holder = |meta: &_| owner.other_controller(meta);
    context.objects.remove(&owner.namespace, &deployment.name_any(), resource, holder).await
}

/// How these services fare.
pub fn look(context: &Context, owner: &Owner, workloads: &[Workload]) -> Vec<View> {
    let view = |workload: &Workload| {
        let live = note(&context.stores.deployments, &workload.deployment);
        let ours = live.filter(|live| live.controller.as_deref() == Some(owner.uid.as_str()));
        // Where the number is not ours to say, it is what whoever scales the service says.
        let scaled = || ours.as_ref().map_or(1, |live| live.wanted);
        let desired = workload.deployment.spec.replicas.unwrap_or_else(scaled);
        View::of(&workload.deployment.name_any(), desired, ours.as_ref())
    };
    workloads.iter().map(view).collect()
}

/// Whether any of these services runs already.
pub fn exists(context: &Context, workloads: &[Workload]) -> bool {
    workloads.iter().any(|workload| note(&context.stores.deployments, &workload.deployment).is_some())
}

/// Whether no pod is left of before the last change of these services.
pub fn rolled_out(context: &Context, workloads: &[Workload]) -> bool {
    workloads.iter().all(|workload| {
        note(&context.stores.deployments, &workload.deployment).is_some_and(|note| note.rolled_out)
    })
}

async fn ensure<K>(context: &Context, owner: &Owner, object: &K, known: Option<u64>) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let holder = |meta: &_| owner.other_controller(meta);
    context.objects.ensure(&owner.uid, &Wanted::of(object)?, known, holder).await.map(drop)
}

/// What is known of an object.
fn note<K: Resource, N: Clone>(notes: &MetadataCache<N>, object: &K) -> Option<N> {
    notes.get(&object.namespace().unwrap_or_default(), &object.name_any())
}
