//! Makes topics, looks at them and releases them.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kbnt_crds::KafkaTopic;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::job::{JobReport, TerminationMessage};
use super::topic_conflict::earlier_claim;
use super::{Direct, JobReports, Topic, TopicIds, Topics};
use crate::conditions::list;
use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::owned::{Cluster, End, ObservedJob};
use crate::ownership::Owner;
use crate::readiness::{State, View};
use crate::resources::Resources;

/// What is needed to make topics.
#[derive(Clone, Copy)]
pub struct TopicContext<'a> {
    /// The Kubernetes cluster.
    pub cluster: &'a Cluster,
    /// All resources, which may want the same topics.
    pub resources: &'a Resources,
    /// What Jobs reported.
    pub reports: &'a JobReports,
}

/// The outcome of making topics.
#[derive(Debug, Default)]
pub struct Applied {
    /// The topics, and whether they are ready.
    pub views: Vec<View>,
    /// Whether another owner holds any of them.
    pub held: bool,
    /// When to reconcile again, unless something triggers it earlier.
    pub again_after: Option<Duration>,
    /// Topics that somebody had changed and that were put back, described for people.
    pub put_back: Vec<String>,
    /// The error, if a step failed.
    pub failure: Option<Error>,
}

/// The outcome so far.
#[derive(Default)]
struct Progress {
    /// Topics that another owner holds, and who it is.
    held: Vec<View>,
    again_after: Option<Duration>,
    put_back: Vec<String>,
}

/// Makes the cluster have these topics, and looks at them.
pub async fn apply(context: TopicContext<'_>, owner: &Owner, topics: &Topics) -> Applied {
    let mut progress = Progress::default();
    let result = match topics {
        Topics::Strimzi(topics) => by_strimzi(context.cluster, owner, topics, &mut progress).await,
        Topics::Direct(direct) => by_job(context, owner, direct, &mut progress).await,
    };
    let Progress { held, again_after, put_back } = progress;
    Applied {
        views: views(context, owner, topics, &held),
        held: !held.is_empty(),
        again_after,
        put_back,
        failure: result.err(),
    }
}

/// Looks at these topics without writing.
pub fn look(context: TopicContext<'_>, owner: &Owner, topics: &Topics) -> Applied {
    Applied { views: views(context, owner, topics, &[]), ..Applied::default() }
}

async fn by_strimzi(
    cluster: &Cluster,
    owner: &Owner,
    topics: &[KafkaTopic],
    progress: &mut Progress,
) -> Result<(), Error> {
    for topic in topics {
        match cluster.ensure(owner, topic).await {
            Err(Error::Held { holder, .. }) => {
                progress.held.push(View { name: topic.name_any(), state: State::Held(holder) });
            }
            Ok(Some(changed)) => progress.put_back.extend(differences(topic, &changed.data)),
            other => drop(other?),
        }
    }
    Ok(())
}

/// What somebody had changed of a KafkaTopic, in the fields that describe the topic.
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

/// Ids in Kafka of these topics, by name without the prefix, as far as Strimzi reports them and this owner
/// owns them.
pub fn ids(cluster: &Cluster, owner: &Owner, kafka: &Kafka, topics: &[Topic]) -> TopicIds {
    let Some(place) = &kafka.place else { return TopicIds::new() };
    let id = |topic: &Topic| {
        let name = format!("{}{}", kafka.prefix, topic.name);
        let live = cluster.get::<KafkaTopic>(&place.namespace, &name)?.observed;
        let ours = owner.other_than(live.owner.as_deref()).is_none();
        Some((topic.name.to_owned(), live.topic_id.filter(|_| ours)?.to_string()))
    };
    topics.iter().filter_map(id).collect()
}

async fn by_job(
    context: TopicContext<'_>,
    owner: &Owner,
    direct: &Direct,
    progress: &mut Progress,
) -> Result<(), Error> {
    let TopicContext { cluster, resources, reports: _ } = context;
    if let Some(Owner { kind, namespace, name, .. }) = earlier_claim(resources, owner, &direct.kafka) {
        let state = State::Held(format!("{kind} {namespace}/{name}"));
        let held = direct.names.iter().map(|name| View { name: name.clone(), state: state.clone() });
        progress.held = held.collect();
        return Ok(());
    }
    let known = cluster.live(&direct.job).map(|live| live.observed);
    let ended = known.as_ref().is_some_and(|job| job.end.is_some());
    for (name, other) in cluster.all_in::<Job>(&owner.namespace) {
        // A Job for other topics is deleted first. A Job for the same topics stays until the present one has
        // reported.
        let obsolete = ended || other.observed.digest.as_ref() != Some(&direct.digest);
        if other.observed.is_of(owner) && name != direct.job_name() && obsolete {
            cluster.remove::<Job>(owner, &owner.namespace, &name).await?;
        }
    }
    cluster.ensure(owner, &direct.job).await?;
    // The watch shows the new Job and its progress.
    let Some(job) = known.filter(ObservedJob::has_report) else { return Ok(()) };
    let report = read_report(context, owner, direct, &job, progress).await?;
    let Some(End::Failed { at, .. }) = &job.end else { return Ok(()) };
    // Another Job is made once this one is deleted.
    let passed = Duration::try_from(Timestamp::now().duration_since(*at)).unwrap_or_default();
    let again_after = report.pause().checked_sub(passed).filter(|rest| !rest.is_zero());
    if again_after.is_none() {
        cluster.remove::<Job>(owner, &owner.namespace, &direct.job_name()).await?;
    }
    progress.again_after = again_after;
    Ok(())
}

/// What the Job has reported. Asks its pods if that is not known yet.
async fn read_report(
    TopicContext { cluster, reports, .. }: TopicContext<'_>,
    owner: &Owner,
    direct: &Direct,
    job: &ObservedJob,
    progress: &mut Progress,
) -> Result<JobReport, Error> {
    let before = reports.get(&owner.uid);
    if let Some(known) = before.as_ref().filter(|before| before.knows(direct, job)) {
        return Ok(known.clone());
    }
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), &owner.namespace);
    let ours = format!("batch.kubernetes.io/controller-uid={}", job.stage.uid);
    let action = format!("read the pods of Job {}/{}", owner.namespace, direct.job_name());
    let pods = pods.list(&ListParams::default().labels(&ours)).await.map_err(Error::api(action))?;
    let message = TerminationMessage::of(&pods.items);
    let report = JobReport::of(direct, job, message.as_ref());
    // The first Job corrects settings that are older than this resource. If a later Job corrects some,
    // somebody has changed them since.
    if before.is_some_and(|before| before.is_of(direct)) {
        progress.put_back.extend(report.altered(direct));
    }
    reports.put(&owner.uid, report.clone());
    Ok(report)
}

/// The state of these topics.
fn views(context: TopicContext<'_>, owner: &Owner, topics: &Topics, held: &[View]) -> Vec<View> {
    match topics {
        Topics::Strimzi(topics) => at_strimzi(context.cluster, owner, topics, held),
        Topics::Direct(_) if !held.is_empty() => held.to_vec(),
        Topics::Direct(direct) => at_jobs(context, owner, direct),
    }
}

fn at_strimzi(cluster: &Cluster, owner: &Owner, topics: &[KafkaTopic], held: &[View]) -> Vec<View> {
    let state_of = |topic: &KafkaTopic| {
        if let Some(view) = held.iter().find(|view| view.name == topic.name_any()) {
            return view.state.clone();
        }
        match cluster.live(topic).map(|live| live.observed) {
            Some(live) => match owner.other_than(live.owner.as_deref()) {
                Some(holder) => State::Held(holder),
                None => live.state,
            },
            None => State::Pending("it does not exist yet".into()),
        }
    };
    topics.iter().map(|topic| View { name: topic.name_any(), state: state_of(topic) }).collect()
}

/// The report of a Job counts until another Job for the same topics reports something else.
fn at_jobs(context: TopicContext<'_>, owner: &Owner, direct: &Direct) -> Vec<View> {
    if let Some(report) = context.reports.get(&owner.uid).filter(|report| report.is_of(direct)) {
        return report.views;
    }
    let jobs = context.cluster.all_in::<Job>(&owner.namespace);
    let made = jobs.into_iter().map(|(_, job)| job.observed).any(|job| {
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
