//! Makes the objects of services and looks at them.

use k8s_openapi::api::apps::v1::Deployment;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::{View, Workload};
use crate::cluster::Wanted;
use crate::context::Context;
use crate::error::Error;
use crate::topics::Owner;

/// Makes the cluster have these services: each with its identity, address and settings before its pods.
pub async fn apply(context: &Context, owner: &Owner, workloads: &[Workload]) -> Result<(), Error> {
    for workload in workloads {
        ensure(context, owner, &workload.account, &context.stores.accounts).await?;
        ensure(context, owner, &workload.service, &context.stores.services).await?;
        if let Some(config) = &workload.config {
            ensure(context, owner, config, &context.stores.configs).await?;
        }
        ensure(context, owner, &workload.deployment, &context.stores.deployments).await?;
    }
    Ok(())
}

/// How these services fare.
pub fn look(context: &Context, owner: &Owner, workloads: &[Workload]) -> Vec<View> {
    let view = |workload: &Workload| {
        let desired = workload.deployment.spec.replicas.unwrap_or(1);
        let live = context.stores.deployments.get(&ObjectRef::from_obj(&workload.deployment));
        let ours = live.filter(|live| owner.other_controller(&live.metadata).is_none());
        View::of(&workload.deployment.name_any(), desired, ours.as_deref())
    };
    workloads.iter().map(view).collect()
}

/// Whether any of these services runs already.
pub fn exists(context: &Context, workloads: &[Workload]) -> bool {
    let runs =
        |deployment: &Deployment| context.stores.deployments.get(&ObjectRef::from_obj(deployment)).is_some();
    workloads.iter().any(|workload| runs(&workload.deployment))
}

async fn ensure<K, S>(context: &Context, owner: &Owner, object: &K, store: &Store<S>) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Serialize,
    S: Resource<DynamicType = ()> + Clone + 'static,
{
    let meta = object.meta();
    let key = ObjectRef::<S>::new(meta.name.as_deref().unwrap_or_default())
        .within(meta.namespace.as_deref().unwrap_or_default());
    let live = store.get(&key);
    let known = live.as_ref().map(|live| live.meta());
    context.objects.ensure(&owner.uid, &Wanted::of(object)?, known, |meta| owner.other_controller(meta)).await
}
