//! Reconciles a VirtualStock: its topic, its service, and what is declared to that.

mod apply;
mod build;
mod status;
mod validate;

use kbnt_crds::VirtualStock;
use kbnt_crds::common::{TopicDeletionPolicy, TopicState};
use kube::ResourceExt;

use crate::context::Context;
use crate::controller::Outcome;
use crate::drift::Parts;
use crate::error::Error;
use crate::log::{Part, TopicIds};
use crate::ownership::Owner;
use crate::topics::OF_STOCK;
use crate::workloads::Role;
use crate::{finalizer, log, topics, users};
use apply::{Progress, apply};
use build::{Desired, Setting, build};
use validate::validate;

/// Brings the cluster nearer to what this resource says, and says in its status how near it is.
pub async fn reconcile(stock: &VirtualStock, context: &Context) -> Outcome {
    let owner = Owner::of(stock);
    if stock.metadata.deletion_timestamp.is_some() {
        return Outcome::of(finalize(stock, &owner, context).await);
    }
    let mut progress = Progress::default();
    let planned = plan(stock, &owner, context);
    let conditions = stock.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let known = planned.as_ref().map(|desired| &desired.known);
    let log = log::judge(context, &owner, part(stock), known, conditions);
    let result = match &planned {
        Ok(desired) => apply(stock, &owner, desired, &log, context, &mut progress).await,
        Err(_) => Ok(()),
    };
    for text in &progress.topics.put_back {
        context.events.publish(stock, true, topics::PUT_BACK, text).await;
    }
    let seen = status::See::of(&owner, planned.as_ref(), log, &progress, result.as_ref().err(), context);
    let adopted = log::announcements(&owner, known.ok());
    let written = crate::status::write(context, stock, status::compute(stock, &seen), &adopted).await;
    Outcome::of(planned.map(drop).and(result.map_err(Error::from)))
        .and(written)
        .again_for(&progress.topics, &progress.held_users)
}

fn plan(stock: &VirtualStock, owner: &Owner, context: &Context) -> Result<Desired, Error> {
    let valid = validate(stock, &context.kafka_scope)?;
    context.user_rights.check(owner, &valid.kafka)?;
    let wish = stock.annotations().get(log::ADOPT).map(String::as_str);
    let known = log::know(context, owner, &valid.kafka, part(stock), wish);
    let others = adopted_by_workflows(stock, &valid.kafka.prefix, context);
    let setting = Setting { image: &context.services_image, others: &others };
    build(stock, owner, &valid, known, setting)
}

/// What a VirtualStock has of the log.
fn part(stock: &VirtualStock) -> Part<'_> {
    Part {
        topics: &OF_STOCK,
        roles: &[Role::Inventory],
        recorded: stock.status.as_ref().map(|status| status.topics.as_slice()).unwrap_or_default(),
        paused: stock.spec.paused,
    }
}

/// Ids of topics that OrderWorkflows of this stock have adopted: inventory-service reads them, and knows others. The ids of
/// topics that never were others are not given to it, as that would start it anew when a workflow is made.
fn adopted_by_workflows(stock: &VirtualStock, prefix: &str, context: &Context) -> TopicIds {
    let workflows = context.stores.workflows.state();
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

/// The objects that this resource takes, if it can be carried out.
pub fn parts(stock: &VirtualStock, context: &Context) -> Option<Parts> {
    let desired = plan(stock, &Owner::of(stock), context).ok()?;
    Some(Parts { topics: desired.topics, users: desired.users, workloads: desired.workloads })
}

/// Lets the user go, the topic as the deletion policy says, and then the resource.
async fn finalize(stock: &VirtualStock, owner: &Owner, context: &Context) -> Result<(), Error> {
    if finalizer::is_set(stock) {
        if stock.spec.topic_deletion_policy == TopicDeletionPolicy::Delete {
            topics::release(context, owner).await?;
        }
        users::release(context, owner).await?;
        finalizer::set(context, stock, false).await?;
    }
    Ok(())
}
