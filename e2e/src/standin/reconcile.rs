//! The control loop over `KafkaTopic` objects of one Kafka cluster.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use futures::StreamExt;
use kbnt_crds::kafka_topic::{CLUSTER_LABEL, KafkaTopic, KafkaTopicStatus, MANAGED_ANNOTATION};
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, ResourceExt};
use rdkafka::error::RDKafkaErrorCode;
use serde_json::json;
use thiserror::Error;
use tracing::{info, warn};

use super::decide::{Decision, decide, declared_config, topic_name};
use super::status::{Verdict, status};
use super::{Broker, BrokerError, FINALIZER, PAUSE_ANNOTATION, TopicState};

/// The interval in which Strimzi checks each topic, even without changes.
const RESYNC: Duration = Duration::from_mins(2);

/// How long the broker may take to show a new topic, and the pause between checks.
const APPEARS: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

/// The dependencies of a reconciliation.
pub struct Context {
    /// The topics of the namespace.
    pub topics: Api<KafkaTopic>,
    /// The Kafka cluster.
    pub broker: Broker,
    /// The value of `strimzi.io/cluster` that selects our topics.
    pub cluster: String,
}

/// A call to the API server failed; the object is retried.
#[derive(Debug, Error)]
pub(super) enum ReconcileError {
    #[error(transparent)]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Reconciles the topics of `cluster` in `namespace` until the process is stopped.
pub async fn run(client: Client, namespace: &str, cluster: &str, broker: Broker) {
    let resource = KafkaTopic::resource("v1");
    let topics: Api<KafkaTopic> = Api::namespaced_with(client, namespace, &resource);
    let selector = watcher::Config::default().labels(&format!("{CLUSTER_LABEL}={cluster}")).timeout(290);
    let context = Arc::new(Context { topics: topics.clone(), broker, cluster: cluster.to_owned() });
    Controller::new_with(topics, selector, resource)
        .shutdown_on_signal()
        .run(reconcile, |_, error, _| retry(error), context)
        .for_each(|result| async move {
            if let Err(error) = result {
                warn!(%error, "reconcile failed");
            }
        })
        .await;
}

fn retry(error: &ReconcileError) -> Action {
    warn!(%error, "will try again");
    Action::requeue(Duration::from_secs(2))
}

async fn reconcile(topic: Arc<KafkaTopic>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let name = topic_name(&topic);
    if topic.metadata.deletion_timestamp.is_some() {
        return remove(&topic, &name, &context).await;
    }
    let verdict = judge(&topic, &name, &context).await?;
    let wanted = status(&topic, &name, &verdict, Utc::now());
    if topic.status.as_ref() != Some(&wanted) {
        info!(topic = name, ?verdict, "status");
        let patch = Patch::Merge(json!({ "status": with_absent(&wanted)? }));
        context.topics.patch_status(&topic.name_any(), &PatchParams::default(), &patch).await?;
    }
    let again = if matches!(verdict, Verdict::Failed { .. }) { Duration::from_secs(5) } else { RESYNC };
    Ok(Action::requeue(again))
}

/// The status with null for absent fields, so that a merge removes them.
fn with_absent(status: &KafkaTopicStatus) -> Result<serde_json::Value, serde_json::Error> {
    let mut value = serde_json::to_value(status)?;
    for (field, absent) in
        [("topicName", status.topic_name.is_none()), ("topicId", status.topic_id.is_none())]
    {
        if absent {
            value[field] = serde_json::Value::Null;
        }
    }
    Ok(value)
}

/// Changes the broker to the declared state, if this stand-in is responsible.
async fn judge(topic: &KafkaTopic, name: &str, context: &Context) -> Result<Verdict, ReconcileError> {
    // As in Strimzi: this comes before the check for a pause, and applies with the finalizer. The deletion of
    // the object is waited for, and nothing happens to the topic.
    if unmanaged(topic) {
        set_finalizer(topic, context, true).await?;
        return Ok(Verdict::Unmanaged);
    }
    if topic.annotations().get(PAUSE_ANNOTATION).is_some_and(|value| value == "true") {
        return Ok(Verdict::Paused);
    }
    if let Some(other) = older_owner(topic, name, context).await? {
        let namespace = topic.namespace().unwrap_or_default();
        let message = format!("Managed by Ref{{namespace='{namespace}', name='{other}'}}");
        return Ok(Verdict::Failed { reason: "ResourceConflict", message });
    }
    set_finalizer(topic, context, true).await?;
    Ok(match bring(topic, name, &context.broker).await {
        Ok(Done::NotSupported(message)) => Verdict::Failed { reason: "NotSupported", message },
        Ok(Done::Ready(id)) => Verdict::Ready { id },
        Err(error) => {
            context.broker.give_up_if_lost();
            Verdict::Failed { reason: "KafkaError", message: error.to_string() }
        }
    })
}

/// The result for a topic.
enum Done {
    /// It is as declared, and has this id.
    Ready(String),
    /// Kafka cannot do part of it.
    NotSupported(String),
}

/// Executes the decision.
async fn bring(topic: &KafkaTopic, name: &str, broker: &Broker) -> Result<Done, BrokerError> {
    let found = broker.find(name).await?;
    match decide(topic, found.as_ref()) {
        Decision::Same => {}
        Decision::NotSupported { message, partitions, config } => {
            if let Some(partitions) = partitions {
                broker.grow(name, partitions).await?;
            }
            if let Some(config) = config {
                broker.configure(name, &config).await?;
            }
            return Ok(Done::NotSupported(message));
        }
        Decision::Create => {
            let wanted = TopicState {
                id: String::new(),
                partitions: topic.spec.partitions.unwrap_or(-1),
                replicas: topic.spec.replicas.unwrap_or(-1),
                config: declared_config(topic),
            };
            broker.create(name, &wanted).await?;
        }
        Decision::Update { partitions, config } => {
            if let Some(partitions) = partitions {
                broker.grow(name, partitions).await?;
            }
            if let Some(config) = config {
                broker.configure(name, &config).await?;
            }
        }
    }
    if let Some(found) = found {
        return Ok(Done::Ready(found.id));
    }
    appeared(name, broker).await.map(|made| Done::Ready(made.id))
}

/// The state of a new topic, once the broker shows it.
async fn appeared(name: &str, broker: &Broker) -> Result<TopicState, BrokerError> {
    let deadline = Instant::now() + APPEARS;
    loop {
        match broker.find(name).await {
            Ok(Some(made)) => return Ok(made),
            Ok(None) | Err(_) if Instant::now() < deadline => tokio::time::sleep(LOOK).await,
            Ok(None) => {
                let code = RDKafkaErrorCode::UnknownTopicOrPartition;
                return Err(BrokerError::Topic { topic: name.to_owned(), code });
            }
            Err(error) => return Err(error),
        }
    }
}

async fn remove(topic: &KafkaTopic, name: &str, context: &Context) -> Result<Action, ReconcileError> {
    let ours = topic.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if !ours {
        return Ok(Action::await_change());
    }
    let keep = unmanaged(topic) || older_owner(topic, name, context).await?.is_some();
    if !keep && let Err(error) = context.broker.delete(name).await {
        warn!(topic = name, %error, "the topic could not be deleted");
        return Ok(Action::requeue(Duration::from_secs(2)));
    }
    set_finalizer(topic, context, false).await?;
    Ok(Action::await_change())
}

/// The object that declared the same topic before this one did.
async fn older_owner(
    topic: &KafkaTopic,
    name: &str,
    context: &Context,
) -> Result<Option<String>, kube::Error> {
    let selector = format!("{CLUSTER_LABEL}={}", context.cluster);
    let all = context.topics.list(&ListParams::default().labels(&selector)).await?;
    let age = |topic: &KafkaTopic| (topic.metadata.creation_timestamp.clone(), topic.name_any());
    let older =
        |other: &&KafkaTopic| topic_name(other) == name && !unmanaged(other) && age(other) < age(topic);
    Ok(all.iter().filter(older).min_by_key(|other| age(other)).map(ResourceExt::name_any))
}

fn unmanaged(topic: &KafkaTopic) -> bool {
    topic.annotations().get(MANAGED_ANNOTATION).is_some_and(|value| value == "false")
}

async fn set_finalizer(topic: &KafkaTopic, context: &Context, wanted: bool) -> Result<(), kube::Error> {
    let before = topic.finalizers();
    if before.iter().any(|finalizer| finalizer == FINALIZER) == wanted {
        return Ok(());
    }
    let mut after: Vec<_> = before.iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    if wanted {
        after.push(FINALIZER.to_owned());
    }
    // With the version that was read, so that another writer's finalizer is not lost.
    let metadata = json!({ "finalizers": after, "resourceVersion": topic.metadata.resource_version });
    let patch = Patch::Merge(json!({ "metadata": metadata }));
    match context.topics.patch(&topic.name_any(), &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 && !wanted => Ok(()),
        other => other.map(|_| ()),
    }
}
