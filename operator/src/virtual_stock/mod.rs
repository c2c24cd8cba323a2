//! Reconciles a VirtualStock: its topic, its service, and the declaration of its products.

mod build;
mod consult;
mod status;
mod validate;

use std::sync::Arc;

use kbnt_crds::common::{TopicDeletionPolicy, TopicState};
use kbnt_crds::{VirtualStock, VirtualStockStatus};
use kube::ResourceExt;
use kube::runtime::reflector::Store;

use crate::conditions::Finding;
use crate::context::Context;
use crate::error::Error;
use crate::kube::Scope;
use crate::log::Identity;
use crate::ownership::Owner;
use crate::pipeline::{Desired, Failure, Missing, Reconciled, Seen};
use crate::queue::Queue;
use crate::resources::Resources;
use crate::topics::{OF_STOCK, Topic, TopicIds};
use crate::workloads::{Role, View};
use build::Setting;
use consult::Ledger;
use validate::{Valid, validate};

impl Reconciled for VirtualStock {
    /// It refers to nothing.
    type Reference = ();
    type Valid = Valid;
    type Report = Ledger;
    const TOPICS: &'static [Topic] = &OF_STOCK;
    const ROLES: &'static [Role] = &[Role::Inventory];

    fn store(resources: &Resources) -> &Store<Self> {
        &resources.stocks
    }

    fn queue(context: &Context) -> &Arc<Queue> {
        &context.stock_queue
    }

    fn wake_concerned(&self, context: &Context) {
        let (namespace, name) = (self.metadata.namespace.as_deref(), self.name_any());
        for workflow in context.resources.workflows.state() {
            let is_its_own = workflow.metadata.namespace.as_deref() == namespace
                && workflow.spec.virtual_stock_ref.name == name;
            if is_its_own {
                context.workflow_queue.push(namespace.unwrap_or_default(), &workflow.name_any());
            }
        }
    }

    fn is_paused(&self) -> bool {
        self.spec.paused
    }

    fn deletion_policy(&self) -> TopicDeletionPolicy {
        self.spec.topic_deletion_policy
    }

    fn dereference(&self, _: &Resources) -> Result<(), Missing> {
        Ok(())
    }

    fn validate(&self, (): &(), reach: &Scope) -> Result<Valid, Error> {
        validate(self, reach)
    }

    fn build(
        &self,
        (): &(),
        owner: &Owner,
        valid: &Valid,
        known: Identity,
        context: &Context,
    ) -> Result<Desired, Error> {
        let others = adopted_by_workflows(self, &valid.kafka.prefix, &context.resources);
        let setting = Setting { image: &context.services_image, others: &others };
        build::build(self, owner, valid, known, setting)
    }

    fn has_others_topics((): &()) -> bool {
        true
    }

    async fn consult(
        &self,
        owner: &Owner,
        desired: &Desired,
        log: &Finding,
        services: &[View],
        context: &Context,
    ) -> (Ledger, Result<(), Failure>) {
        consult::consult(self, owner, desired, log, services, context).await
    }

    fn new_status(&self, seen: &Seen<'_, Self>) -> VirtualStockStatus {
        status::compute(self, seen)
    }
}

/// Ids of the topics that OrderWorkflows of this stock have adopted: inventory-service reads them, and knows
/// other ids. It does not get the ids of topics that were never replaced, because that would restart it
/// whenever a workflow is created.
fn adopted_by_workflows(stock: &VirtualStock, prefix: &str, resources: &Resources) -> TopicIds {
    let workflows = resources.workflows.state();
    let ours = workflows.iter().filter(|workflow| {
        workflow.namespace() == stock.namespace()
            && Some(&workflow.spec.virtual_stock_ref.name) == stock.metadata.name.as_ref()
    });
    let topics = ours.flat_map(|workflow| workflow.status.iter().flat_map(|status| &status.topics));
    let adopted = topics.filter(|topic| topic.replaces.is_some());
    let id =
        |topic: &TopicState| Some((topic.name.strip_prefix(prefix)?.to_owned(), topic.topic_id.clone()?));
    adopted.filter_map(id).collect()
}
