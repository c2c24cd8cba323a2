//! Whether what the watches show has drifted from what it should be.
//!
//! After a restart, each object is shown once by the first list of its kind. What is compared there need not be read one
//! by one.

use std::sync::Arc;

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::Serialize;

use crate::context::Context;
use crate::error::Error;
use crate::kube::Wanted;
use crate::ownership::Owner;
use crate::topics::Topics;
use crate::users::ServiceUser;
use crate::workloads::Workload;
use crate::{order_workflow, virtual_stock};

/// What a resource takes.
pub struct Parts {
    /// Its topics.
    pub topics: Topics,
    /// Its users.
    pub users: Vec<ServiceUser>,
    /// Its services.
    pub workloads: Vec<Workload>,
}

/// Compares objects of one kind with what they should be. Lists come in the order of names, so most objects are those of the owner before.
pub struct DriftCheck {
    context: Arc<Context>,
    last: Option<Known>,
}

struct Known {
    /// UID and generation of the owner.
    owner: (String, Option<i64>),
    parts: Option<Parts>,
}

impl DriftCheck {
    /// Knows all that the stores of this context show.
    pub fn new(context: &Arc<Context>) -> Self {
        Self { context: Arc::clone(context), last: None }
    }

    /// Looks at an object with a controller.
    pub fn look<K: Resource<DynamicType = ()> + Serialize>(&mut self, live: &K) {
        let Some(owner) =
            live.owner_references().iter().find(|owner| owner.controller == Some(true)).cloned()
        else {
            return;
        };
        let namespace = live.namespace().unwrap_or_default();
        let (kind, name) = (K::kind(&()), live.name_any());
        self.compare(&owner.kind, &namespace, &owner.name, live, |parts| {
            let mut workloads = parts.workloads.iter();
            workloads.find_map(|workload| workload.find(&kind, &name)).or_else(|| {
                let job = parts.topics.job().filter(|job| kind == "Job" && job.name_any() == name);
                job.map(Wanted::of)
            })
        });
    }

    /// Looks at an object on which its owner is written, as one of those that `pick` finds.
    pub fn look_at_signed<K: Resource + Serialize>(
        &mut self,
        live: &K,
        pick: impl FnOnce(&Parts) -> Option<Result<Wanted, Error>>,
    ) {
        let Some((kind, namespace, owner)) = Owner::signed(live.meta()) else { return };
        self.compare(kind, namespace, owner, live, pick);
    }

    fn compare<K: Resource + Serialize>(
        &mut self,
        kind: &str,
        namespace: &str,
        owner: &str,
        live: &K,
        pick: impl FnOnce(&Parts) -> Option<Result<Wanted, Error>>,
    ) {
        let (context, last) = (&self.context, self.last.take());
        let known = match kind {
            "VirtualStock" => find(&context.stores.stocks, namespace, owner)
                .map(|stock| known(last, &*stock, || virtual_stock::parts(&stock, context))),
            "OrderWorkflow" => find(&context.stores.workflows, namespace, owner)
                .map(|workflow| known(last, &*workflow, || order_workflow::parts(&workflow, context))),
            _ => None,
        };
        let Some(known) = known else { return };
        if let Some(Ok(wanted)) = known.parts.as_ref().and_then(pick) {
            context.objects.compare(&known.owner.0, &wanted, live);
        }
        self.last = Some(known);
    }
}

/// What this owner takes: what is known of it already, if that is of its present generation.
fn known<K: Resource>(last: Option<Known>, owner: &K, make: impl FnOnce() -> Option<Parts>) -> Known {
    let owner = (owner.uid().unwrap_or_default(), owner.meta().generation);
    last.filter(|last| last.owner == owner).unwrap_or_else(|| Known { owner, parts: make() })
}

fn find<K>(store: &Store<K>, namespace: &str, name: &str) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store.get(&ObjectRef::new(name).within(namespace))
}
