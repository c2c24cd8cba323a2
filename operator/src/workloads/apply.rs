//! Makes the objects of services and looks at them.

use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::{View, Workload};
use crate::cluster::{Notes, Wanted};
use crate::context::Context;
use crate::error::Error;
use crate::topics::Owner;

/// Makes the cluster have these services: each with its identity, address and settings before its pods.
pub async fn apply(context: &Context, owner: &Owner, workloads: &[Workload]) -> Result<(), Error> {
    let stores = &context.stores;
    for Workload { account, service, config, deployment } in workloads {
        ensure(context, owner, account, note(&stores.accounts, account)).await?;
        ensure(context, owner, service, note(&stores.services, service)).await?;
        if let Some(config) = config {
            ensure(context, owner, config, note(&stores.configs, config)).await?;
        }
        let known = note(&stores.deployments, deployment).map(|note| note.fingerprint);
        ensure(context, owner, deployment, known).await?;
    }
    Ok(())
}

/// How these services fare.
pub fn look(context: &Context, owner: &Owner, workloads: &[Workload]) -> Vec<View> {
    let view = |workload: &Workload| {
        let desired = workload.deployment.spec.replicas.unwrap_or(1);
        let live = note(&context.stores.deployments, &workload.deployment);
        let ours = live.filter(|live| live.controller.as_deref() == Some(owner.uid.as_str()));
        View::of(&workload.deployment.name_any(), desired, ours.as_ref())
    };
    workloads.iter().map(view).collect()
}

/// Whether any of these services runs already.
pub fn exists(context: &Context, workloads: &[Workload]) -> bool {
    workloads.iter().any(|workload| note(&context.stores.deployments, &workload.deployment).is_some())
}

async fn ensure<K>(context: &Context, owner: &Owner, object: &K, known: Option<u64>) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    context.objects.ensure(&owner.uid, &Wanted::of(object)?, known, |meta| owner.other_controller(meta)).await
}

/// What is known of an object.
fn note<K: Resource, N: Clone>(notes: &Notes<N>, object: &K) -> Option<N> {
    notes.get(&object.namespace().unwrap_or_default(), &object.name_any())
}
