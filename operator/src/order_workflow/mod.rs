//! Reconciles an OrderWorkflow: its six topics and five services.

mod apply;
mod build;
mod dereference;
mod status;
mod validate;

use kbnt_crds::common::{TopicDeletionPolicy, TopicState};
use kbnt_crds::{OrderWorkflow, VirtualStock};
use kube::ResourceExt;

use crate::conditions::Finding;
use crate::context::Context;
use crate::controller::Outcome;
use crate::drift::Parts;
use crate::error::Error;
use crate::log::{Part, TopicIds};
use crate::ownership::Owner;
use crate::topics::OF_WORKFLOW;
use crate::{finalizer, log, topics, users};
use apply::{Progress, apply};
use build::{Desired, Setting, build};
use dereference::dereference;
use validate::validate;

/// Brings the cluster nearer to what this resource says, and says in its status how near it is.
pub async fn reconcile(workflow: &OrderWorkflow, context: &Context) -> Outcome {
    let owner = Owner::of(workflow);
    if workflow.metadata.deletion_timestamp.is_some() {
        return Outcome::of(finalize(workflow, &owner, context).await);
    }
    let mut progress = Progress::default();
    let stock = dereference(workflow, &context.stores.stocks);
    let planned = stock.as_deref().map(|stock| plan(workflow, stock, &owner, context));
    let log = judge(workflow, &owner, planned.as_ref(), context);
    let result = match (&planned, &stock) {
        (Some(Ok(desired)), Some(stock)) => {
            apply(workflow, stock, &owner, desired, context, &mut progress).await
        }
        _ => Ok(()),
    };
    for text in &progress.topics.put_back {
        context.events.publish(workflow, true, topics::PUT_BACK, text).await;
    }
    let planned = planned.transpose();
    let seen = status::See::of(
        &owner,
        stock.as_deref(),
        planned.as_ref(),
        log,
        &progress,
        result.as_ref().err(),
        context,
    );
    let known = planned.as_ref().ok().and_then(Option::as_ref).map(|desired| &desired.known);
    let adopted = log::announcements(&owner, known);
    let written = crate::status::write(context, workflow, status::compute(workflow, &seen), &adopted).await;
    Outcome::of(planned.map(drop).and(result.map_err(Error::from)))
        .and(written)
        .again_for(&progress.topics, &progress.held_users)
}

/// LogIntact. Without a stock there is no cluster to ask about.
fn judge(
    workflow: &OrderWorkflow,
    owner: &Owner,
    planned: Option<&Result<Desired, Error>>,
    context: &Context,
) -> Finding {
    let conditions = workflow.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let Some(planned) = planned else {
        let text = "the VirtualStock names the Kafka cluster".to_owned();
        return log::unplanned(log::before(conditions), "WaitingForStock", text);
    };
    let known = planned.as_ref().map(|desired| &desired.known);
    log::judge(context, owner, part(workflow), known, conditions)
}

/// What an OrderWorkflow has of the log.
fn part(workflow: &OrderWorkflow) -> Part<'_> {
    Part {
        topics: &OF_WORKFLOW,
        roles: &build::ROLES,
        recorded: workflow.status.as_ref().map(|status| status.topics.as_slice()).unwrap_or_default(),
        paused: workflow.spec.paused,
    }
}

fn plan(
    workflow: &OrderWorkflow,
    stock: &VirtualStock,
    owner: &Owner,
    context: &Context,
) -> Result<Desired, Error> {
    let valid = validate(workflow, stock, &context.kafka_scope)?;
    context.user_rights.check(owner, &valid.kafka)?;
    let wish = workflow.annotations().get(log::ADOPT).map(String::as_str);
    let known = log::know(context, owner, &valid.kafka, part(workflow), wish);
    let others = ids_of_stock(stock);
    let setting = Setting { image: &context.services_image, keda: context.has_keda(), others: &others };
    build(workflow, owner, &valid, known, setting)
}

/// Ids of the topics of the stock, which the services of a workflow read too.
fn ids_of_stock(stock: &VirtualStock) -> TopicIds {
    let topics = stock.status.iter().flat_map(|status| &status.topics);
    let id = |topic: &TopicState| {
        let name = topic.name.strip_prefix(&stock.spec.kafka.topic_prefix)?;
        Some((name.to_owned(), topic.topic_id.clone()?))
    };
    topics.filter_map(id).collect()
}

/// The objects that this resource takes, if it can be carried out.
pub fn parts(workflow: &OrderWorkflow, context: &Context) -> Option<Parts> {
    let stock = dereference(workflow, &context.stores.stocks)?;
    let desired = plan(workflow, &stock, &Owner::of(workflow), context).ok()?;
    Some(Parts { topics: desired.topics, users: desired.users, workloads: desired.workloads })
}

/// Lets the users go, the topics as the deletion policy says, and then the resource.
async fn finalize(workflow: &OrderWorkflow, owner: &Owner, context: &Context) -> Result<(), Error> {
    if finalizer::is_set(workflow) {
        if workflow.spec.topic_deletion_policy == TopicDeletionPolicy::Delete {
            topics::release(context, owner).await?;
        }
        users::release(context, owner).await?;
        finalizer::set(context, workflow, false).await?;
    }
    Ok(())
}
