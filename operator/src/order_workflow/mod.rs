//! Reconciles an OrderWorkflow: its six topics and five services.

mod build;
mod consult;
mod status;
mod validate;

use std::sync::Arc;

use kbnt_crds::common::{TopicDeletionPolicy, TopicState};
use kbnt_crds::{OrderWorkflow, OrderWorkflowStatus, VirtualStock};
use kube::runtime::reflector::Store;

use crate::conditions::{Finding, holds};
use crate::context::Context;
use crate::error::Error;
use crate::kube::Scope;
use crate::log::Identity;
use crate::owned::ScaledObject;
use crate::ownership::Owner;
use crate::pipeline::{Desired, Failure, Missing, Reconciled, Seen};
use crate::queue::Queue;
use crate::resources::Resources;
use crate::service_client::{Observed, OrderSummary};
use crate::topics::{OF_WORKFLOW, Topic, TopicIds};
use crate::workloads::{Role, View};
use build::Setting;
use validate::{Valid, validate};

impl Reconciled for OrderWorkflow {
    /// Its VirtualStock. A watch keeps it up to date, and wakes the reconciler on a change.
    type Reference = Arc<VirtualStock>;
    type Valid = Valid;
    type Report = Observed<OrderSummary>;
    const TOPICS: &'static [Topic] = &OF_WORKFLOW;
    const ROLES: &'static [Role] = &build::ROLES;

    fn store(resources: &Resources) -> &Store<Self> {
        &resources.workflows
    }

    fn queue(context: &Context) -> &Arc<Queue> {
        &context.workflow_queue
    }

    /// inventory-service must know the topics that the workflow has adopted.
    fn wake_concerned(&self, context: &Context) {
        let mut topics = self.status.iter().flat_map(|status| &status.topics);
        if topics.any(|topic| topic.replaces.is_some()) {
            let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
            context.stock_queue.push(namespace, &self.spec.virtual_stock_ref.name);
        }
    }

    fn is_paused(&self) -> bool {
        self.spec.paused
    }

    fn deletion_policy(&self) -> TopicDeletionPolicy {
        self.spec.topic_deletion_policy
    }

    fn dereference(&self, resources: &Resources) -> Result<Arc<VirtualStock>, Missing> {
        let stock = resources.stock_of(self).filter(|stock| stock.metadata.deletion_timestamp.is_none());
        stock
            .ok_or(Missing { reason: "WaitingForStock", message: "the VirtualStock names the Kafka cluster" })
    }

    fn validate(&self, stock: &Arc<VirtualStock>, reach: &Scope) -> Result<Valid, Error> {
        validate(self, stock, reach)
    }

    fn build(
        &self,
        stock: &Arc<VirtualStock>,
        owner: &Owner,
        valid: &Valid,
        known: Identity,
        context: &Context,
    ) -> Result<Desired, Error> {
        let others = ids_of_stock(stock);
        let keda = context.cluster.has::<ScaledObject>();
        let setting = Setting { image: &context.services_image, keda, others: &others };
        build::build(self, owner, valid, known, setting)
    }

    fn has_others_topics(stock: &Arc<VirtualStock>) -> bool {
        stock.status.as_ref().is_some_and(|status| holds(&status.conditions, "TopicsReady"))
    }

    async fn consult(
        &self,
        owner: &Owner,
        _: &Desired,
        _: &Finding,
        services: &[View],
        context: &Context,
    ) -> (Observed<OrderSummary>, Result<(), Failure>) {
        (consult::consult(owner, services, context), Ok(()))
    }

    fn new_status(&self, seen: &Seen<'_, Self>) -> OrderWorkflowStatus {
        status::compute(self, seen)
    }
}

/// Ids of the topics of the stock, which the services of a workflow read as well.
fn ids_of_stock(stock: &VirtualStock) -> TopicIds {
    let topics = stock.status.iter().flat_map(|status| &status.topics);
    let id = |topic: &TopicState| {
        let name = topic.name.strip_prefix(&stock.spec.kafka.topic_prefix)?;
        Some((name.to_owned(), topic.topic_id.clone()?))
    };
    topics.filter_map(id).collect()
}
