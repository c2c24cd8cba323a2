//! Carries out what a resource takes: finalizer, topics, users, services, what is declared to them, in this order.

use std::time::Duration;

use super::{Desired, Reconciled};
use crate::conditions::Finding;
use crate::context::Context;
use crate::error::Error;
use crate::ownership::Owner;
use crate::retry::Class;
use crate::{finalizer, readiness, topics, users, workloads};

/// A step that failed, and how.
#[derive(Debug)]
pub enum Failure {
    /// To set or take away the finalizer.
    Finalizer(Error),
    /// To have topics made.
    Topics(Error),
    /// To have users made.
    Users(Error),
    /// To make the services.
    Workloads(Error),
    /// To declare what the resource does.
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
    /// The topics, none where the Kafka cluster is not known.
    pub topics: Vec<readiness::View>,
    /// The users, none where the services have none of their own.
    pub users: Vec<readiness::View>,
    /// The services.
    pub services: Vec<workloads::View>,
    /// Whether a topic became known only after what was decided.
    pub unlearned: bool,
    /// What the services report.
    pub report: T,
    /// The step that failed.
    pub failure: Option<Failure>,
    /// What somebody had changed of a topic and was put back, for people.
    pub put_back: Vec<String>,
    /// When to come back, if nothing else calls for it before.
    pub again_after: Option<Duration>,
}

/// Carries out what this resource takes, and looks at each part once, after it was written. Nothing is written of a resource that is
/// paused, nor after a step that failed.
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
        topics::apply(context.means_of_topics(), owner, &desired.topics).await
    } else {
        topics::look(context.means_of_topics(), owner, &desired.topics)
    };
    result = result.and(failure.map_or(Ok(()), |error| Err(Failure::Topics(error))));
    let has_topics = R::has_others_topics(reference) && topics.iter().all(|topic| topic.state.is_usable());
    let mut held_users = Vec::new();
    // Rights are given on topics that are its own, or those that it refers to.
    if writes && result.is_ok() && has_topics {
        match users::apply(cluster, owner, &desired.users).await {
            Ok(held) => held_users = held,
            Err(error) => result = Err(Failure::Users(error)),
        }
    }
    let unlearned = desired.known.misses(&topics::ids(cluster, owner, &desired.kafka, R::TOPICS));
    let users = users::look(cluster, owner, &desired.users, &held_users);
    if writes && result.is_ok() {
        // Services start once their topics and users are ready, with the ids of these topics. Those that run are kept as they should
        // be whatever happens.
        let ready = has_topics && !unlearned && users.iter().all(|user| user.state.is_usable());
        if ready || workloads::exists(cluster, &desired.workloads) {
            let applied = workloads::apply(cluster, owner, &desired.workloads).await;
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
    // No watch shows when those are let go that somebody else holds.
    let waits = (held || !held_users.is_empty()).then(|| Class::Waiting.delay(0));
    let again_after = [waits, again_after].into_iter().flatten().min();
    Applied { topics, users, services, unlearned, report, failure: result.err(), put_back, again_after }
}
