//! The reconcile, shared by both resources.
//!
//! Dereference (reads, no decision), validate and build (decide, no I/O), apply (writes, in a written order,
//! and returns what it did and saw), status (computed from that).

mod apply;
mod desired;
mod findings;

pub use apply::{Applied, Failure};
pub use desired::Desired;
pub use findings::{Seen, finalizer_set, topics_ready, users_ready, workloads_available};

use std::sync::Arc;

use kbnt_crds::common::TopicDeletionPolicy;
use kbnt_crds::{KafkaTopic, KafkaUser};
use kube::ResourceExt;
use kube::runtime::reflector::Store;

use crate::conditions::{Finding, Status};
use crate::context::Context;
use crate::controller::Outcome;
use crate::error::Error;
use crate::finalizer;
use crate::kafka_cluster::Kafka;
use crate::kube::Scope;
use crate::log::{self, Identity, Part};
use crate::ownership::Owner;
use crate::queue::Queue;
use crate::resources::Resources;
use crate::status::{Conditional, Reported};
use crate::topics::{self, Topic};
use crate::workloads::{self, Role};

/// The object that a resource refers to does not exist, so its conditions are unknown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Missing {
    /// Reason, in CamelCase.
    pub reason: &'static str,
    /// Message for people.
    pub message: &'static str,
}

/// The parts of a reconcile that differ between the resources.
pub trait Reconciled: Reported + Send + Sync + 'static {
    /// The object that it refers to.
    type Reference: Send + Sync;
    /// The validated resource.
    type Valid: AsRef<Kafka> + Send + Sync;
    /// The report of its services.
    type Report: Default + Send + Sync;
    /// Its topics.
    const TOPICS: &'static [Topic];
    /// Its services.
    const ROLES: &'static [Role];

    /// All resources of this kind.
    fn store(resources: &Resources) -> &Store<Self>;
    /// The queue of its reconciles.
    fn queue(context: &Context) -> &Arc<Queue>;
    /// Wakes the reconcilers of resources of the other kind that depend on the status of this one.
    fn wake_concerned(&self, context: &Context);
    /// Whether it is paused.
    fn is_paused(&self) -> bool;
    /// What happens to its topics when it is deleted.
    fn deletion_policy(&self) -> TopicDeletionPolicy;
    /// The object that it refers to, if it exists.
    fn dereference(&self, resources: &Resources) -> Result<Self::Reference, Missing>;
    /// Checks that it can be carried out within the operator's `reach`.
    fn validate(&self, reference: &Self::Reference, reach: &Scope) -> Result<Self::Valid, Error>;
    /// Everything that it needs.
    fn build(
        &self,
        reference: &Self::Reference,
        owner: &Owner,
        valid: &Self::Valid,
        known: Identity,
        context: &Context,
    ) -> Result<Desired, Error>;
    /// Whether the topics that its services use but do not own are ready.
    fn has_others_topics(reference: &Self::Reference) -> bool;
    /// Asks its services for their report and declares to them what the resource wants, as far as they are
    /// available.
    fn consult(
        &self,
        owner: &Owner,
        desired: &Desired,
        log: &Finding,
        services: &[workloads::View],
        context: &Context,
    ) -> impl Future<Output = (Self::Report, Result<(), Failure>)> + Send;
    /// Its status after a reconcile.
    fn new_status(&self, seen: &Seen<'_, Self>) -> Self::Status;
}

/// Moves the cluster towards what this resource wants, and reports the progress in its status.
pub async fn reconcile<R: Reconciled>(resource: &R, context: &Context) -> Outcome {
    let owner = Owner::of(resource);
    if resource.meta().deletion_timestamp.is_some() {
        return Outcome::of(finalize(resource, &owner, context).await);
    }
    let reference = resource.dereference(&context.resources);
    let planned = match &reference {
        Ok(reference) => Ok(plan(resource, reference, &owner, context)),
        Err(missing) => Err(*missing),
    };
    let log = judge(resource, &owner, planned.as_ref(), context);
    let applied = match (&reference, &planned) {
        (Ok(reference), Ok(Ok(desired))) => {
            apply::apply(resource, reference, &owner, desired, &log, context).await
        }
        _ => Applied::default(),
    };
    for text in &applied.put_back {
        context.events.publish(resource, true, topics::PUT_BACK, text).await;
    }
    let (desired, invalid) = match &planned {
        Ok(Ok(desired)) => (Some(desired), None),
        Ok(Err(error)) => (None, Some(error)),
        Err(_) => (None, None),
    };
    let adopted = log::announcements(&owner, desired.map(|desired| &desired.known));
    let reference = reference.as_ref().map_err(|missing| *missing);
    let seen = Seen { reference, invalid, desired, log, applied: &applied };
    let written = context.status.write(resource, resource.new_status(&seen), &adopted).await;
    let Applied { failure, again_after, .. } = applied;
    let result = match planned {
        Ok(Err(error)) => Err(error),
        _ => failure.map_or(Ok(()), |failure| Err(failure.into())),
    };
    Outcome::of(result).and(written).again_after(again_after)
}

/// What is desired for this resource, if it can be carried out.
fn plan<R: Reconciled>(
    resource: &R,
    reference: &R::Reference,
    owner: &Owner,
    context: &Context,
) -> Result<Desired, Error> {
    let valid = resource.validate(reference, &context.cluster.reach.kafka)?;
    let kafka = valid.as_ref();
    context.user_rights.check(owner, kafka)?;
    let wish = resource.annotations().get(log::ADOPT).map(String::as_str);
    let known = log::know(&context.cluster, &context.logs, owner, kafka, part(resource), wish);
    resource.build(reference, owner, &valid, known, context)
}

/// What is desired for this resource, if it can be carried out now.
pub fn desired<R: Reconciled>(resource: &R, context: &Context) -> Option<Desired> {
    let reference = resource.dereference(&context.resources).ok()?;
    plan(resource, &reference, &Owner::of(resource), context).ok()
}

/// The part of this resource in the log.
fn part<R: Reconciled>(resource: &R) -> Part<'_> {
    let (_, recorded) = resource.status().map(Conditional::known).unwrap_or_default();
    Part { topics: R::TOPICS, roles: R::ROLES, recorded, paused: resource.is_paused() }
}

/// LogIntact. If the object that the resource refers to is missing, there is no Kafka cluster to ask about.
fn judge<R: Reconciled>(
    resource: &R,
    owner: &Owner,
    planned: Result<&Result<Desired, Error>, &Missing>,
    context: &Context,
) -> Finding {
    let (conditions, _) = resource.status().map(Conditional::known).unwrap_or_default();
    let planned = match planned {
        Ok(planned) => planned,
        Err(missing) => {
            return log::unplanned(log::before(conditions), missing.reason, missing.message.to_owned());
        }
    };
    let known = planned.as_ref().map(|desired| &desired.known);
    let finding =
        log::judge(&context.logs, owner, part(resource), known, conditions, waker::<R>(owner, context));
    context.metrics.log_damaged(owner, finding.status == Status::False);
    finding
}

/// Wakes the reconciler of this resource.
pub fn waker<R: Reconciled>(owner: &Owner, context: &Context) -> impl Fn() + Send + Sync + use<R> {
    let (queue, namespace, name) =
        (Arc::clone(R::queue(context)), owner.namespace.clone(), owner.name.clone());
    move || queue.push(&namespace, &name)
}

/// Releases the users, the topics according to the deletion policy, and then the resource.
async fn finalize<R: Reconciled>(resource: &R, owner: &Owner, context: &Context) -> Result<(), Error> {
    if finalizer::is_set(resource) {
        if resource.deletion_policy() == TopicDeletionPolicy::Delete {
            context.cluster.release::<KafkaTopic>(owner).await?;
        }
        context.cluster.release::<KafkaUser>(owner).await?;
        finalizer::set(&context.cluster.client, resource, false).await?;
    }
    Ok(())
}
