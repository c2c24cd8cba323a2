//! What wakes the reconcilers.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::{KafkaTopic, KafkaUser, OrderWorkflow, VirtualStock};
use kube::api::{ApiResource, DynamicObject};
use kube::core::object::HasSpec;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::context::{Context, Stores, TopicStore};
use crate::discovery::Served;
use crate::drift::DriftCheck;
use crate::kube::{
    CacheWriter, MetadataCache, Scope, Unreadable, Wanted, Watch, Whole, fingerprint, watch_objects,
};
use crate::labels::managed;
use crate::ownership::Owner;
use crate::topics::{ObservedJob, ObservedTopic};
use crate::users;
use crate::workloads::{ObservedDeployment, scaled_objects};

/// How long the first list of what not every cluster serves may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The writing ends of the stores.
pub struct Writers {
    stocks: Writer<VirtualStock>,
    workflows: Writer<OrderWorkflow>,
}

/// Empty stores.
pub fn stores() -> (Stores, Writers) {
    let (stocks, stock_writer) = reflector::store();
    let (workflows, workflow_writer) = reflector::store();
    let stores = Stores {
        stocks,
        workflows,
        deployments: Arc::default(),
        services: Arc::default(),
        accounts: Arc::default(),
        configs: Arc::default(),
        roles: Arc::default(),
        bindings: Arc::default(),
        budgets: Arc::default(),
        scalers: Arc::default(),
        jobs: Arc::default(),
        secrets: Arc::default(),
    };
    (stores, Writers { stocks: stock_writer, workflows: workflow_writer })
}

/// Fills the stores and wakes the reconcilers, for as long as it is polled.
pub async fn run(context: Arc<Context>, scope: Scope, writers: Writers, served: watch::Receiver<Served>) {
    let client = &context.client;
    let stocks = watch_objects(scope.apis(client), &(), "", Whole::new(writers.stocks));
    let workflows = watch_objects(scope.apis(client), &(), "", Whole::new(writers.workflows));
    let stores = &context.stores;
    let owned = async {
        // Objects are recognized by what their owners say.
        resources_known(&context).await;
        let parts: Vec<BoxFuture<'_, ()>> = vec![
            follow_owned(&context, &scope, &stores.deployments, ObservedDeployment::of).boxed(),
            follow_owned::<Service, _>(&context, &scope, &stores.services, fingerprint_of).boxed(),
            follow_owned::<ServiceAccount, _>(&context, &scope, &stores.accounts, fingerprint_of).boxed(),
            follow_owned::<ConfigMap, _>(&context, &scope, &stores.configs, fingerprint_of).boxed(),
            follow_owned::<Role, _>(&context, &scope, &stores.roles, fingerprint_of).boxed(),
            follow_owned::<RoleBinding, _>(&context, &scope, &stores.bindings, fingerprint_of).boxed(),
            follow_owned::<PodDisruptionBudget, _>(&context, &scope, &stores.budgets, fingerprint_of).boxed(),
            follow_owned::<HorizontalPodAutoscaler, _>(&context, &scope, &stores.scalers, fingerprint_of)
                .boxed(),
            follow_owned(&context, &scope, &stores.jobs, ObservedJob::of).boxed(),
            follow_scaled(&context, &scope, served.clone()).boxed(),
            follow_topics(&context, served.clone()).boxed(),
            follow_users(&context, served).boxed(),
        ];
        join_all(parts).await;
    };
    let parts: Vec<BoxFuture<'_, ()>> = vec![
        follow_stocks(&context, stocks).boxed(),
        follow_workflows(&context, workflows).boxed(),
        owned.boxed(),
    ];
    join_all(parts).await;
}

async fn resources_known(context: &Context) {
    // An error means that the writer is gone, and the process with it.
    let _ = context.stores.stocks.wait_until_ready().await;
    let _ = context.stores.workflows.wait_until_ready().await;
}

/// Waits until every store has been filled once. What not every cluster serves may not be readable: then it goes on
/// without, and the conditions tell.
pub async fn filled(context: &Context, served: &Served) {
    let stores = &context.stores;
    resources_known(context).await;
    stores.deployments.wait_until_complete().await;
    stores.services.wait_until_complete().await;
    stores.accounts.wait_until_complete().await;
    stores.configs.wait_until_complete().await;
    stores.roles.wait_until_complete().await;
    stores.bindings.wait_until_complete().await;
    stores.budgets.wait_until_complete().await;
    stores.scalers.wait_until_complete().await;
    stores.jobs.wait_until_complete().await;
    if served.kafka_topic.is_some() {
        let mut topics = context.topics.subscribe();
        in_time("KafkaTopics", topics.wait_for(Option::is_some)).await;
    }
    if served.keda {
        let mut scaled = context.scaled.subscribe();
        in_time("ScaledObjects", scaled.wait_for(Option::is_some)).await;
    }
    if served.kafka_user.is_some() && context.user_rights.enabled {
        let mut users = context.users.subscribe();
        in_time("KafkaUsers", users.wait_for(Option::is_some)).await;
    }
    if !context.user_rights.secret_namespaces().is_empty() {
        in_time("Secrets of users", stores.secrets.wait_until_complete()).await;
    }
}

async fn in_time(what: &str, listed: impl Future) {
    if tokio::time::timeout(PATIENCE, listed).await.is_err() {
        warn!("the {what} cannot be read");
    }
}

fn fingerprint_of<K: Resource>(object: &K) -> u64 {
    fingerprint(object.meta())
}

async fn follow_stocks(context: &Context, events: impl Stream<Item = Watch<VirtualStock>>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => {
                context.forget_gone();
                context.wake_all();
            }
            Watch::Touched(stock) => {
                let (namespace, name) = key(&stock.metadata);
                forget_if_gone(context, &context.stores.stocks, &stock);
                context.stock_queue.push(namespace, name);
                for workflow in context.stores.workflows.state() {
                    if key(&workflow.metadata).0 == namespace
                        && workflow.spec().virtual_stock_ref.name == name
                    {
                        context.workflow_queue.push(namespace, key(&workflow.metadata).1);
                    }
                }
            }
            Watch::Unreadable(what) => unreadable::<VirtualStock>(context, *what).await,
        }
    }
}

async fn follow_workflows(context: &Context, events: impl Stream<Item = Watch<OrderWorkflow>>) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => {
                context.forget_gone();
                context.workflow_queue.push_all(&context.stores.workflows);
            }
            Watch::Touched(workflow) => {
                let (namespace, name) = key(&workflow.metadata);
                forget_if_gone(context, &context.stores.workflows, &workflow);
                context.workflow_queue.push(namespace, name);
                // inventory-service has to know the topics that the workflow has adopted.
                let mut topics = workflow.status.iter().flat_map(|status| &status.topics);
                if topics.any(|topic| topic.replaces.is_some()) {
                    context.stock_queue.push(namespace, &workflow.spec.virtual_stock_ref.name);
                }
            }
            Watch::Unreadable(what) => unreadable::<OrderWorkflow>(context, *what).await,
        }
    }
}

/// Watches the operator's objects of one kind, and keeps a note of each.
async fn follow_owned<K, N>(
    context: &Arc<Context>,
    scope: &Scope,
    notes: &Arc<MetadataCache<N>>,
    note: fn(&K) -> N,
) where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static,
    N: Send + 'static,
{
    let mut recognizer = DriftCheck::new(context);
    let keep = CacheWriter::new(Arc::clone(notes), move |object: &K| {
        recognizer.look(object);
        note(object)
    });
    let mut events = std::pin::pin!(watch_objects(scope.apis(&context.client), &(), &managed(), keep));
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => context.wake_all(),
            Watch::Touched(object) => wake_owners(context, object.meta()),
            Watch::Unreadable(what) => {
                let (namespace, name) = key(&what.metadata);
                warn!(namespace, name, why = what.why, "an object of the operator cannot be read");
            }
        }
    }
}

/// Watches ScaledObjects while the cluster serves them.
async fn follow_scaled(context: &Arc<Context>, scope: &Scope, mut served: watch::Receiver<Served>) {
    loop {
        // An error means that nobody looks any more: then it stays as it is.
        if served.wait_for(|served| served.keda).await.is_err() {
            return;
        }
        let gone = async {
            if served.wait_for(|served| !served.keda).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = watch_scaled(context, scope) => {}
            () = gone => {}
        }
        context.scaled.send_replace(None);
        context.wake_all();
        context.health.watch_ended("/scaledobjects");
    }
}

async fn watch_scaled(context: &Context, scope: &Scope) {
    let (resource, notes) = (scaled_objects(), Arc::<MetadataCache<u64>>::default());
    let keep = CacheWriter::new(Arc::clone(&notes), fingerprint_of::<DynamicObject>);
    let apis = scope.apis_with(&context.client, &resource);
    let mut events = std::pin::pin!(watch_objects(apis, &resource, &managed(), keep));
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => {
                context.scaled.send_replace(Some(Arc::clone(&notes)));
                context.wake_all();
            }
            Watch::Touched(object) => wake_owners(context, object.meta()),
            Watch::Unreadable(what) => warn!(why = what.why, "a ScaledObject cannot be read"),
        }
    }
}

/// Watches KafkaTopics while the cluster serves them, in the version that it serves.
async fn follow_topics(context: &Arc<Context>, served: watch::Receiver<Served>) {
    let watch = |version| {
        info!(version, "watching KafkaTopics");
        watch_topics(context, KafkaTopic::resource(version)).boxed()
    };
    let ended = || {
        context.set_topics(None);
        context.health.watch_ended("/kafkatopics");
    };
    while_served(served, |served| served.kafka_topic, watch, ended).await;
}

/// Watches KafkaUsers and their Secrets, if the operator may.
async fn follow_users(context: &Arc<Context>, served: watch::Receiver<Served>) {
    if !context.user_rights.enabled {
        return;
    }
    let watch = |version| {
        info!(version, "watching KafkaUsers");
        users::follow(context, KafkaUser::resource(version)).boxed()
    };
    let ended = || {
        context.users.send_replace(None);
        context.wake_all();
        context.health.watch_ended("/kafkausers");
    };
    let namespaces = context.user_rights.secret_namespaces();
    let secrets = async {
        if !namespaces.is_empty() {
            users::follow_secrets(context, &namespaces).await;
        }
    };
    tokio::join!(while_served(served, |served| served.kafka_user, watch, ended), secrets);
}

/// Does `watch` while the cluster serves a version of what it watches, and `ended` each time that changes.
async fn while_served<'a>(
    mut served: watch::Receiver<Served>,
    version_of: fn(&Served) -> Option<&'static str>,
    watch: impl Fn(&'static str) -> BoxFuture<'a, ()>,
    ended: impl Fn(),
) {
    loop {
        let version = version_of(&served.borrow_and_update());
        let changed = async {
            // An error means that nobody looks any more: then the version stays.
            let other = served.wait_for(|served| version_of(served) != version).await.is_ok();
            if !other {
                std::future::pending::<()>().await;
            }
        };
        match version {
            None => changed.await,
            Some(version) => {
                tokio::select! {
                    () = watch(version) => {}
                    () = changed => {}
                }
                ended();
            }
        }
    }
}

async fn watch_topics(context: &Arc<Context>, resource: ApiResource) {
    let notes = Arc::<MetadataCache<ObservedTopic>>::default();
    let mut recognizer = DriftCheck::new(context);
    let version = resource.clone();
    let keep = CacheWriter::new(Arc::clone(&notes), move |topic: &KafkaTopic| {
        recognizer.look_at_signed(topic, |parts| {
            let wanted = parts.topics.objects().iter().find(|wanted| wanted.name_any() == topic.name_any());
            wanted.map(|wanted| Wanted::new(wanted, version.clone()))
        });
        ObservedTopic::of(topic)
    });
    let apis = context.kafka_scope.apis_with(&context.client, &resource);
    let events = watch_objects(apis, &resource, &managed(), keep);
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Watch::Complete => {
                context
                    .set_topics(Some(TopicStore { resource: resource.clone(), notes: Arc::clone(&notes) }));
            }
            Watch::Touched(topic) => {
                if let Some((kind, namespace, name)) = Owner::signed(&topic.metadata) {
                    wake(context, kind, namespace, name);
                }
            }
            Watch::Unreadable(what) => {
                let (namespace, name) = key(&what.metadata);
                warn!(namespace, name, why = what.why, "a KafkaTopic cannot be read");
            }
        }
    }
}

pub(crate) fn wake_owners(context: &Context, meta: &ObjectMeta) {
    for owner in meta.owner_references.iter().flatten() {
        wake(context, &owner.kind, key(meta).0, &owner.name);
    }
}

pub(crate) fn wake(context: &Context, kind: &str, namespace: &str, name: &str) {
    match kind {
        "VirtualStock" => context.stock_queue.push(namespace, name),
        "OrderWorkflow" => context.workflow_queue.push(namespace, name),
        _ => {}
    }
}

fn forget_if_gone<K>(context: &Context, store: &Store<K>, object: &K)
where
    K: Resource<DynamicType = ()> + Clone + Debug + 'static,
{
    if store.get(&ObjectRef::from_obj(object)).is_none() {
        context.forget_gone();
    }
}

/// Tells that a resource cannot be read, on the resource itself too.
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
