//! Carries out what an OrderWorkflow takes: finalizer, topics, services, in this order.

use kbnt_crds::{OrderWorkflow, VirtualStock};

use super::build::Desired;
use crate::conditions::holds;
use crate::context::Context;
use crate::error::Error;
use crate::finalizer;
use crate::ownership::Owner;
use crate::readiness::View;
use crate::service_client::{Observed, OrderSummary};
use crate::topics::{self, Applied};
use crate::users;
use crate::workloads::{self, Role, State};

/// A step that failed, and how.
#[derive(Debug)]
pub(super) enum Failure {
    Topics(Error),
    Users(Error),
    Workloads(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Topics(error) | Failure::Users(error) | Failure::Workloads(error) => error,
        }
    }
}

/// How far it came.
#[derive(Default)]
pub(super) struct Progress {
    /// What came of having topics made.
    pub(super) topics: Applied,
    /// Users that somebody else holds, and who.
    pub(super) held_users: Vec<View>,
    /// What order-service tells, once it runs.
    pub(super) orders: Observed<OrderSummary>,
}

pub(super) async fn apply(
    workflow: &OrderWorkflow,
    stock: &VirtualStock,
    owner: &Owner,
    desired: &Desired,
    context: &Context,
    progress: &mut Progress,
) -> Result<(), Failure> {
    if !workflow.spec.paused {
        finalizer::set(context, workflow, desired.finalizer).await.map_err(Failure::Topics)?;
        topics::apply(context, owner, &desired.topics, &mut progress.topics)
            .await
            .map_err(Failure::Topics)?;
        let has_topics = has_topics(stock, owner, desired, context, progress);
        // Rights are given on topics that are its own, or those of its stock.
        if has_topics {
            progress.held_users =
                users::apply(context, owner, &desired.users).await.map_err(Failure::Users)?;
        }
        // Services start once their topics and users are ready, and are told which topics these are. Those that run are kept as
        // they should be whatever happens.
        let present = topics::ids(context, owner, &desired.kafka, &topics::OF_WORKFLOW);
        let ready = has_topics
            && !desired.known.misses(&present)
            && users::are_usable(context, owner, &desired.users, &progress.held_users);
        if ready || workloads::exists(context, &desired.workloads) {
            workloads::apply(context, owner, &desired.workloads).await.map_err(Failure::Workloads)?;
        }
        users::retire(context, owner, desired.place.as_ref(), &desired.users, &desired.workloads)
            .await
            .map_err(Failure::Users)?;
    }
    let order_service = Role::Order.object_name(&owner.name);
    let services = workloads::look(context, owner, &desired.workloads);
    if services.iter().any(|service| service.name == order_service && service.state == State::Available) {
        let (queue, namespace, name) =
            (context.workflow_queue.clone(), owner.namespace.clone(), owner.name.clone());
        let url = format!("{}/v1/orders/summary", context.address.of(&owner.namespace, &order_service));
        progress.orders = context.orders.observe(&owner.uid, &url, move || queue.push(&namespace, &name));
    }
    Ok(())
}

/// Whether all topics that the services use are ready, those of the stock too.
fn has_topics(
    stock: &VirtualStock,
    owner: &Owner,
    desired: &Desired,
    context: &Context,
    progress: &Progress,
) -> bool {
    let topics = topics::look(context, owner, &desired.topics, &progress.topics.held);
    let stock_has_topics =
        stock.status.as_ref().is_some_and(|status| holds(&status.conditions, "TopicsReady"));
    stock_has_topics && topics.iter().all(|topic| topic.state.is_usable())
}
