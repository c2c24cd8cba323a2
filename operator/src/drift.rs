//! Detects drift: whether the objects that the watches show differ from what they should be.
//!
//! After a restart, the first list of each kind shows every object once. An object that is compared there
//! need not be read on its own.

use std::sync::Arc;

use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::api::ApiResource;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use crate::context::Context;
use crate::owned::Owned;
use crate::pipeline::{self, Desired, Reconciled};

/// Compares objects of one kind with what they should be. Lists come in the order of names, so an object
/// usually has the same owner as the one before it.
pub struct DriftCheck {
    context: Arc<Context>,
    resource: ApiResource,
    last: Option<Known>,
}

struct Known {
    /// UID and generation of the owner.
    owner: (String, Option<i64>),
    desired: Option<Desired>,
}

impl DriftCheck {
    /// Knows all resources of this context.
    pub fn new(context: &Arc<Context>, resource: ApiResource) -> Self {
        Self { context: Arc::clone(context), resource, last: None }
    }

    /// Compares an object with what its owner wants. If they agree, no reconcile has to read the object.
    pub fn look<K: Owned>(&mut self, live: &K) {
        let Some((kind, namespace, name)) = K::KIND.ownership.owner_of(live.meta()) else { return };
        let (context, last) = (&self.context, self.last.take());
        let known = if kind == VirtualStock::kind(&()) {
            known::<VirtualStock>(last, context, namespace, name)
        } else if kind == OrderWorkflow::kind(&()) {
            known::<OrderWorkflow>(last, context, namespace, name)
        } else {
            None
        };
        let Some(known) = known else { return };
        let name = live.name_any();
        let wanted = known.desired.as_ref().and_then(|desired| {
            desired
                .objects()
                .find(|wanted| wanted.is(K::NAME, &name))
                .map(|wanted| wanted.wanted(&self.resource))
        });
        if let Some(Ok(wanted)) = wanted {
            context.cluster.objects.compare(&known.owner.0, &wanted, live);
        }
        self.last = Some(known);
    }
}

/// What this owner wants, if that is known for its present generation.
fn known<R: Reconciled>(
    last: Option<Known>,
    context: &Context,
    namespace: &str,
    name: &str,
) -> Option<Known> {
    let resource = R::store(&context.resources).get(&ObjectRef::new(name).within(namespace))?;
    let owner = (resource.uid().unwrap_or_default(), resource.meta().generation);
    let same = last.filter(|last| last.owner == owner);
    Some(same.unwrap_or_else(|| Known { owner, desired: pipeline::desired(&*resource, context) }))
}
