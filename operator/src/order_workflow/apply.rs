//! Carries out what an OrderWorkflow takes: finalizer, topics, services, in this order.

use kbnt_crds::{OrderWorkflow, VirtualStock};

use super::build::Desired;
use crate::conditions::holds;
use crate::context::Context;
use crate::error::Error;
use crate::finalizer;
use crate::services::{Observed, OrderSummary};
use crate::topics::{self, Applied, Owner};
use crate::workloads::{self, Role, State};

/// A step that failed, and how.
#[derive(Debug)]
pub(super) enum Failure {
    Topics(Error),
    Workloads(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Topics(error) | Failure::Workloads(error) => error,
        }
    }
}

/// How far it came.
#[derive(Default)]
pub(super) struct Progress {
    /// What came of having topics made.
    pub(super) topics: Applied,
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
        progress.topics = topics::apply(context, owner, &desired.topics).await.map_err(Failure::Topics)?;
        if may_run(stock, owner, desired, context, progress) {
            workloads::apply(context, owner, &desired.workloads).await.map_err(Failure::Workloads)?;
        }
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

/// Services start once all topics that they use are ready, those of the stock too. Services that run are kept as they
/// should be whatever happens to topics.
fn may_run(
    stock: &VirtualStock,
    owner: &Owner,
    desired: &Desired,
    context: &Context,
    progress: &Progress,
) -> bool {
    let topics = topics::look(context, owner, &desired.topics, &progress.topics.held);
    let ready = topics.iter().all(|topic| topic.state.is_usable());
    let stock_has_topics =
        stock.status.as_ref().is_some_and(|status| holds(&status.conditions, "TopicsReady"));
    (ready && stock_has_topics) || workloads::exists(context, &desired.workloads)
}
