//! What wakes the reconcilers.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::Resource;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::context::Context;
use crate::drift::DriftCheck;
use crate::kube::{CacheWriter, Scope, StoreWriter, Unreadable, Watch, watch_objects};
use crate::owned::{Kind, Owned, Served, Visitor, each_kind};
use crate::ownership::Owner;
use crate::pipeline::Reconciled;
use crate::resources::Resources;

/// How long the first list of a kind that not every cluster serves may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The writers of the stores.
pub struct Writers {
    stocks: Writer<VirtualStock>,
    workflows: Writer<OrderWorkflow>,
}

/// Creates empty stores.
pub fn stores() -> (Resources, Writers) {
    let (stocks, stock_writer) = reflector::store();
    let (workflows, workflow_writer) = reflector::store();
    (Resources { stocks, workflows }, Writers { stocks: stock_writer, workflows: workflow_writer })
}

/// Fills the stores and wakes the reconcilers while it is polled.
pub async fn run(context: Arc<Context>, writers: Writers, served: watch::Receiver<Served>) {
    let (client, scope) = (&context.cluster.client, &context.cluster.reach.resources);
    let stocks = watch_objects(scope.apis(client), &(), "", StoreWriter::new(writers.stocks));
    let workflows = watch_objects(scope.apis(client), &(), "", StoreWriter::new(writers.workflows));
    let owned = async {
        // Objects are compared with what their owners want.
        context.resources.wait_until_known().await;
        join_all(each_kind(&Follow { context: &context, served })).await;
    };
    let parts: Vec<BoxFuture<'_, ()>> = vec![
        follow_resources(&context, stocks).boxed(),
        follow_resources(&context, workflows).boxed(),
        owned.boxed(),
    ];
    join_all(parts).await;
}

/// Waits until every store has been filled once. A kind that not every cluster serves may be unreadable; then
/// the operator goes on without it, and the conditions say so.
pub async fn filled(context: &Context, served: &Served) {
    context.resources.wait_until_known().await;
    join_all(each_kind(&Filled { context, served })).await;
}

struct Filled<'a> {
    context: &'a Context,
    served: &'a Served,
}

impl<'a> Visitor for Filled<'a> {
    type Output = BoxFuture<'a, ()>;

    fn visit<K: Owned>(&self) -> BoxFuture<'a, ()> {
        let Kind { area, version, required, .. } = K::KIND;
        let cluster = &self.context.cluster;
        if area.scope(&cluster.reach).is_none() || version(self.served).is_none() {
            return std::future::ready(()).boxed();
        }
        async move {
            let listed = K::cache(&cluster.caches).wait_until_complete();
            if required {
                listed.await;
            } else if tokio::time::timeout(PATIENCE, listed).await.is_err() {
                warn!("the {}s cannot be read", K::NAME);
            }
        }
        .boxed()
    }
}

/// Wakes the reconcilers of the resources of one kind, and of those that depend on them.
async fn follow_resources<R: Reconciled>(context: &Context, events: impl Stream<Item = Watch<R>>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => {
                context.forget_gone();
                context.wake_all();
            }
            Watch::Touched(resource) => {
                let (namespace, name) = key(resource.meta());
                forget_if_gone(context, &*resource);
                R::queue(context).push(namespace, name);
                resource.wake_concerned(context);
            }
            Watch::Unreadable(what) => unreadable::<R>(context, *what).await,
        }
    }
}

/// Watches the objects of each kind and caches them.
struct Follow<'a> {
    context: &'a Arc<Context>,
    served: watch::Receiver<Served>,
}

impl<'a> Visitor for Follow<'a> {
    type Output = BoxFuture<'a, ()>;

    fn visit<K: Owned>(&self) -> BoxFuture<'a, ()> {
        let (context, served) = (self.context, self.served.clone());
        match K::KIND.area.scope(&context.cluster.reach) {
            Some(scope) => while_served::<K>(context, scope, served).boxed(),
            None => std::future::ready(()).boxed(),
        }
    }
}

/// Watches a kind while the cluster serves a version of it, and drops its objects whenever that version
/// changes.
async fn while_served<K: Owned>(context: &Arc<Context>, scope: &Scope, mut served: watch::Receiver<Served>) {
    let version_of = K::KIND.version;
    loop {
        let version = version_of(&served.borrow_and_update());
        let changed = async {
            // An error means that discovery has ended: then the version stays.
            let other = served.wait_for(|served| version_of(served) != version).await.is_ok();
            if !other {
                std::future::pending::<()>().await;
            }
        };
        match version {
            None => changed.await,
            Some(version) => {
                tokio::select! {
                    () = follow::<K>(context, scope, version) => {}
                    () = changed => {}
                }
                K::cache(&context.cluster.caches).clear();
                context.wake_all();
                context.health.watch_ended(&format!("/{}", K::in_version(version).plural));
            }
        }
    }
}

/// Watches the operator's objects of one kind, caches them, and wakes their owners.
async fn follow<K: Owned>(context: &Arc<Context>, scope: &Scope, version: &str) {
    let resource = K::in_version(version);
    if !K::KIND.required {
        info!(version, "watching {}s", K::NAME);
    }
    let mut drift = DriftCheck::new(context, resource.clone());
    let cache = Arc::clone(K::cache(&context.cluster.caches));
    let keep = CacheWriter::new(cache, resource.clone(), move |object: &K| {
        drift.look(object);
        object.observe()
    });
    let apis = K::apis(scope, &context.cluster.client, &resource);
    let labels = (K::KIND.labels)();
    let events = watch_objects(apis, &K::dynamic_type(&resource), &labels, keep);
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => context.wake_all(),
            Watch::Touched(object) => wake_owners(context, object.meta()),
            Watch::Unreadable(what) => {
                let (namespace, name) = key(&what.metadata);
                warn!(
                    kind = K::NAME,
                    namespace,
                    name,
                    why = what.why,
                    "an object of the operator cannot be read"
                );
            }
        }
    }
}

/// Wakes the reconcilers of every owner of this object, by reference or by signature.
fn wake_owners(context: &Context, meta: &ObjectMeta) {
    for owner in meta.owner_references.iter().flatten() {
        context.wake(&owner.kind, key(meta).0, &owner.name);
    }
    if let Some((kind, namespace, name)) = Owner::signed(meta) {
        context.wake(kind, namespace, name);
    }
}

fn forget_if_gone<R: Reconciled>(context: &Context, object: &R) {
    if R::store(&context.resources).get(&ObjectRef::from_obj(object)).is_none() {
        context.forget_gone();
    }
}

/// Reports that a resource cannot be read, on the resource itself, too.
async fn unreadable<K: Resource<DynamicType = ()>>(context: &Context, what: Unreadable) {
    let kind = K::kind(&()).into_owned();
    let Unreadable { metadata, why } = what;
    let (namespace, name) = key(&metadata);
    warn!(kind, namespace, name, why, "a resource cannot be read");
    context.metrics.unreadable(&kind);
    let object = PartialObjectMeta::<K> { types: None, metadata, _phantom: PhantomData };
    context
        .events
        .publish(&object, true, "Unreadable", &format!("this resource cannot be read: {why}"))
        .await;
}

fn key(meta: &ObjectMeta) -> (&str, &str) {
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}
