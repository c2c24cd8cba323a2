//! Has topics made, looks at them and lets them go.

use std::fmt::Debug;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kbnt_crds::KafkaTopic;
use kube::api::{ApiResource, DeleteParams, ListParams, Preconditions};
use kube::core::DynamicResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::job::{End, JobReport, ObservedJob, TerminationMessage};
use super::topic_conflict::earlier_claim;
use super::{Direct, ObservedTopic, Topic, Topics};
use crate::conditions::list;
use crate::context::{Context, TopicStore};
use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::kube::Wanted;
use crate::log::TopicIds;
use crate::ownership::{OWNER_UID_LABEL, Owner};
use crate::readiness::{State, View};

/// What came of having topics made.
#[derive(Debug, Default)]
pub struct Applied {
    /// Those that somebody else holds, and who.
    pub held: Vec<View>,
    /// When to come back, if nothing else calls for it before.
    pub again_after: Option<Duration>,
    /// What somebody had changed of a topic and was put back, for people.
    pub put_back: Vec<String>,
}

/// Makes the cluster have these topics. What came of it so far is in `applied` after a failure, too.
pub async fn apply(
    context: &Context,
    owner: &Owner,
    topics: &Topics,
    applied: &mut Applied,
) -> Result<(), Error> {
    match topics {
        Topics::Strimzi(topics) => by_strimzi(context, owner, topics, applied).await,
        Topics::Direct(direct) => by_job(context, owner, direct, applied).await,
    }
}

async fn by_strimzi(
    context: &Context,
    owner: &Owner,
    topics: &[KafkaTopic],
    applied: &mut Applied,
) -> Result<(), Error> {
    let store = context.topics().ok_or(Error::NoKafkaTopics)?;
    for topic in topics {
        let known = find(&store, topic).map(|note| note.fingerprint);
        let wanted = Wanted::new(topic, store.resource.clone())?;
        match context.objects.ensure(&owner.uid, &wanted, known, |meta| owner.other_holder(meta)).await {
            Err(Error::Held { holder, .. }) => {
                applied.held.push(View { name: topic.name_any(), state: State::Held(holder) });
            }
            Ok(Some(changed)) => applied.put_back.extend(differences(topic, &changed.data)),
            other => drop(other?),
        }
    }
    Ok(())
}

/// What of a KafkaTopic somebody had changed, as far as it says how the topic is.
fn differences(wanted: &KafkaTopic, live: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let differs = |name: &str, wanted: &Value, live: &Value| match live {
        Value::Null => Some(format!("{name} was taken away, and is {} again", text(wanted))),
        live if text(live) == text(wanted) => None,
        live => Some(format!("{name} was set to {}, and is {} again", text(live), text(wanted))),
    };
    let spec = &live["spec"];
    let config =
        wanted.spec.config.iter().filter_map(|(key, value)| differs(key, value, &spec["config"][key]));
    let numbers = [("partitions", wanted.spec.partitions), ("replicas", wanted.spec.replicas)];
    let numbers =
        numbers.into_iter().filter_map(|(name, number)| differs(name, &number?.into(), &spec[name]));
    let all: Vec<String> = config.chain(numbers).collect();
    let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
    (!all.is_empty()).then(|| format!("KafkaTopic {namespace}/{name}: {}", list(&all)))
}

/// Ids in Kafka of these topics, without the prefix, as far as Strimzi says them of topics of this owner.
pub fn ids(context: &Context, owner: &Owner, kafka: &Kafka, topics: &[Topic]) -> TopicIds {
    let (Some(store), Some(place)) = (context.topics(), &kafka.place) else { return TopicIds::new() };
    let id = |topic: &Topic| {
        let note = store.notes.get(&place.namespace, &format!("{}{}", kafka.prefix, topic.name))?;
        let ours = owner.other_than(note.owner.as_deref()).is_none();
        Some((topic.name.to_owned(), note.topic_id.filter(|_| ours)?.to_string()))
    };
    topics.iter().filter_map(id).collect()
}

async fn by_job(
    context: &Context,
    owner: &Owner,
    direct: &Direct,
    applied: &mut Applied,
) -> Result<(), Error> {
    if let Some(Owner { kind, namespace, name, .. }) = earlier_claim(&context.stores, owner, &direct.kafka) {
        let state = State::Held(format!("{kind} {namespace}/{name}"));
        let held = direct.names.iter().map(|name| View { name: name.clone(), state: state.clone() });
        applied.held = held.collect();
        return Ok(());
    }
    let known = context.stores.jobs.get(&owner.namespace, &direct.job_name());
    let ended = known.as_ref().is_some_and(|note| note.end.is_some());
    for (name, other) in context.stores.jobs.all_in(&owner.namespace) {
        // One that would make other topics goes first. One that made the same stays until the present one has told.
        let obsolete = ended || other.digest.as_ref() != Some(&direct.digest);
        if other.is_of(owner) && name != direct.job_name() && obsolete {
            remove(context, owner, &name).await?;
        }
    }
    let wanted = Wanted::of(&direct.job)?;
    let fingerprint = known.as_ref().map(|note| note.fingerprint);
    context.objects.ensure(&owner.uid, &wanted, fingerprint, |meta| owner.other_controller(meta)).await?;
    // The watch tells of a new Job, and of whatever becomes of it.
    let Some(note) = known.filter(ObservedJob::has_told) else { return Ok(()) };
    let told = listen(context, owner, direct, &note, applied).await?;
    let Some(End::Failed { at, .. }) = &note.end else { return Ok(()) };
    // Another one is made once this one is gone.
    let passed = Duration::try_from(Timestamp::now().duration_since(*at)).unwrap_or_default();
    let again_after = told.pause().checked_sub(passed).filter(|rest| !rest.is_zero());
    if again_after.is_none() {
        remove(context, owner, &direct.job_name()).await?;
    }
    applied.again_after = again_after;
    Ok(())
}

/// What the Job has told, asking its pods if that is not known yet.
async fn listen(
    context: &Context,
    owner: &Owner,
    direct: &Direct,
    note: &ObservedJob,
    applied: &mut Applied,
) -> Result<JobReport, Error> {
    let before = context.reports.get(&owner.uid);
    if let Some(told) = before.as_ref().filter(|told| told.knows(direct, note)) {
        return Ok(told.clone());
    }
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), &owner.namespace);
    let ours = format!("batch.kubernetes.io/controller-uid={}", note.stage.uid);
    let action = format!("read the pods of Job {}/{}", owner.namespace, direct.job_name());
    let pods = pods.list(&ListParams::default().labels(&ours)).await.map_err(Error::api(action))?;
    let words = TerminationMessage::of(&pods.items);
    let told = JobReport::of(direct, note, words.as_ref());
    // The first Job corrects what was before this resource; where a later one has to, somebody changed it since.
    if before.is_some_and(|before| before.is_of(direct)) {
        applied.put_back.extend(told.altered(direct));
    }
    context.reports.put(&owner.uid, told.clone());
    Ok(told)
}

async fn remove(context: &Context, owner: &Owner, name: &str) -> Result<(), Error> {
    let (resource, holder) = (ApiResource::erase::<Job>(&()), |meta: &_| owner.other_controller(meta));
    context.objects.remove(&owner.namespace, name, &resource, holder).await
}

/// How these topics fare.
pub fn look(context: &Context, owner: &Owner, topics: &Topics, held: &[View]) -> Vec<View> {
    match topics {
        Topics::Strimzi(topics) => at_strimzi(context, owner, topics, held),
        Topics::Direct(_) if !held.is_empty() => held.to_vec(),
        Topics::Direct(direct) => at_jobs(context, owner, direct),
    }
}

fn at_strimzi(context: &Context, owner: &Owner, topics: &[KafkaTopic], held: &[View]) -> Vec<View> {
    let store = context.topics();
    let state_of = |topic: &KafkaTopic| {
        if let Some(view) = held.iter().find(|view| view.name == topic.name_any()) {
            return view.state.clone();
        }
        match store.as_ref().and_then(|store| find(store, topic)) {
            Some(live) => match owner.other_than(live.owner.as_deref()) {
                Some(holder) => State::Held(holder),
                None => live.state,
            },
            None => State::Pending("it does not exist yet".into()),
        }
    };
    topics.iter().map(|topic| View { name: topic.name_any(), state: state_of(topic) }).collect()
}

/// What a Job told of the same topics counts until another one tells something else.
fn at_jobs(context: &Context, owner: &Owner, direct: &Direct) -> Vec<View> {
    if let Some(told) = context.reports.get(&owner.uid).filter(|told| told.is_of(direct)) {
        return told.views;
    }
    let jobs = context.stores.jobs.all_in(&owner.namespace);
    let made = jobs.iter().any(|(_, job)| {
        job.is_of(owner) && job.digest.as_ref() == Some(&direct.digest) && job.end == Some(End::Complete)
    });
    let state = if made {
        State::Ready
    } else {
        let (namespace, job) = (&owner.namespace, direct.job_name());
        State::Pending(format!(
            "Job {job} is to make it; if that takes long, see `kubectl -n {namespace} describe job {job}`"
        ))
    };
    direct.names.iter().map(|name| View { name: name.clone(), state: state.clone() }).collect()
}

/// Deletes the topics that this very owner holds, wherever they are. Does not wait until they are gone, as Strimzi may
/// be gone itself.
pub async fn release(context: &Context, owner: &Owner) -> Result<(), Error> {
    match context.topics() {
        Some(store) => release_all::<KafkaTopic>(context, owner, &store.resource).await,
        None => Ok(()),
    }
}

/// Deletes the objects of a kind of Strimzi's that this very owner holds, as [`release`].
pub async fn release_all<K>(context: &Context, owner: &Owner, resource: &ApiResource) -> Result<(), Error>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope> + Clone + Debug + DeserializeOwned,
{
    let kind = &resource.kind;
    let ours = ListParams::default().labels(&format!("{OWNER_UID_LABEL}={}", owner.uid));
    for (_, api) in context.kafka_scope.apis_with::<K>(&context.client, resource) {
        let objects = api.list(&ours).await.map_err(Error::api(format!("list the {kind}s to delete")))?;
        for object in objects {
            let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
            let api: Api<K> = Api::namespaced_with(context.client.clone(), &namespace, resource);
            let only_this = DeleteParams {
                preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
                ..DeleteParams::default()
            };
            match api.delete(&name, &only_this).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                other => {
                    other.map(drop).map_err(Error::api(format!("delete {kind} {namespace}/{name}")))?;
                }
            }
        }
    }
    Ok(())
}

fn find(store: &TopicStore, topic: &KafkaTopic) -> Option<ObservedTopic> {
    store.notes.get(&topic.namespace().unwrap_or_default(), &topic.name_any())
}
