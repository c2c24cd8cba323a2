//! Applies what a resource needs, in this order: finalizer, topics, users, services, declarations.

use std::time::Duration;

use super::{Desired, Reconciled};
use crate::conditions::Finding;
use crate::context::Context;
use crate::error::Error;
use crate::ownership::Owner;
use crate::retry::Class;
use crate::{finalizer, readiness, topics, users, workloads};

/// The step that failed, and its error.
#[derive(Debug)]
pub enum Failure {
    /// Setting or removing the finalizer.
    Finalizer(Error),
    /// Making the topics.
    Topics(Error),
    /// Making the users.
    Users(Error),
    /// Making the services.
    Workloads(Error),
    /// Declaring the stock to the service.
    Declarations(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Finalizer(error)
            | Failure::Topics(error)
            | Failure::Users(error)
            | Failure::Workloads(error)
            | Failure::Declarations(error) => error,
        }
    }
}

/// What was done and seen.
#[derive(Debug, Default)]
pub struct Applied<T> {
    /// The topics; empty if the Kafka cluster is unknown.
    pub topics: Vec<readiness::View>,
    /// The users; empty if the services have no users of their own.
    pub users: Vec<readiness::View>,
    /// The services.
    pub services: Vec<workloads::View>,
    /// Whether a topic's id became known only after the decision.
    pub unlearned: bool,
    /// The report of the services.
    pub report: T,
    /// The step that failed.
    pub failure: Option<Failure>,
    /// Topics that somebody had changed and that were put back, described for people.
    pub put_back: Vec<String>,
    /// When to reconcile again, unless something triggers it earlier.
    pub again_after: Option<Duration>,
}

/// Applies what this resource needs, and looks at each part once, after it was written. Writes nothing if the
/// resource is paused, nor after a step that failed.
pub(super) async fn apply<R: Reconciled>(
    resource: &R,
    reference: &R::Reference,
    owner: &Owner,
    desired: &Desired,
    log: &Finding,
    context: &Context,
) -> Applied<R::Report> {
    let (cluster, writes) = (&*context.cluster, !resource.is_paused());
    let mut result = Ok(());
    if writes {
        result =
            finalizer::set(&cluster.client, resource, desired.finalizer).await.map_err(Failure::Finalizer);
    }
    let topics::Applied { views: topics, held, again_after, put_back, failure } = if writes && result.is_ok()
    {
        topics::apply(context.topic_context(), owner, &desired.topics).await
    } else {
        topics::look(context.topic_context(), owner, &desired.topics)
    };
    result = result.and(failure.map_or(Ok(()), |error| Err(Failure::Topics(error))));
    let has_topics = R::has_others_topics(reference) && topics.iter().all(|topic| topic.state.is_usable());
    let mut held_users = Vec::new();
    // Grants apply to the resource's own topics and to those that it refers to.
    if writes && result.is_ok() && has_topics {
        match users::apply(cluster, owner, &desired.users).await {
            Ok(held) => held_users = held,
            Err(error) => result = Err(Failure::Users(error)),
        }
    }
    let unlearned = desired.known.misses(&topics::ids(cluster, owner, &desired.kafka, R::TOPICS));
    let users = users::look(cluster, owner, &desired.users, &held_users);
    if writes && result.is_ok() {
        // Services start once their topics and users are ready, with the ids of these topics. Services that
        // run already are kept as they should be in any case.
        let ready = has_topics && !unlearned && users.iter().all(|user| user.state.is_usable());
        if ready || workloads::exists(cluster, &desired.workloads) {
            let volume = desired.volume.as_ref();
            let applied = workloads::apply(cluster, owner, volume, &desired.workloads).await;
            result = applied.map_err(Failure::Workloads);
        }
    }
    if writes && result.is_ok() {
        let place = desired.kafka.place.as_ref();
        let retired = users::retire(cluster, owner, place, &desired.users, &desired.workloads).await;
        result = retired.map_err(Failure::Users);
    }
    let services = workloads::look(cluster, owner, &desired.workloads);
    let mut report = R::Report::default();
    if result.is_ok() {
        (report, result) = resource.consult(owner, desired, log, &services, context).await;
    }
    // No watch shows when another owner lets go of what it holds.
    let waits = (held || !held_users.is_empty()).then(|| Class::Waiting.delay(0));
    let again_after = [waits, again_after].into_iter().flatten().min();
    Applied { topics, users, services, unlearned, report, failure: result.err(), put_back, again_after }
}
