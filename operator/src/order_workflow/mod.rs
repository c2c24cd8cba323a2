//! Reconciles an OrderWorkflow: its six topics and five services.

mod apply;
mod build;
mod dereference;
mod status;
mod validate;

use kbnt_crds::common::TopicDeletionPolicy;
use kbnt_crds::{OrderWorkflow, VirtualStock};

use crate::context::Context;
use crate::controller::Outcome;
use crate::error::Error;
use crate::recognizer::Parts;
use crate::topics::Owner;
use crate::{finalizer, topics, users};
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
    let result = match (&planned, &stock) {
        (Some(Ok(desired)), Some(stock)) => {
            apply(workflow, stock, &owner, desired, context, &mut progress).await
        }
        _ => Ok(()),
    };
    let planned = planned.transpose();
    let seen = status::See::of(
        &owner,
        stock.as_deref(),
        planned.as_ref(),
        &progress,
        result.as_ref().err(),
        context,
    );
    let written = crate::status::write(context, workflow, status::compute(workflow, &seen)).await;
    Outcome::of(planned.map(drop).and(result.map_err(Error::from)))
        .and(written)
        .again_for(&progress.topics, &progress.held_users)
}

fn plan(
    workflow: &OrderWorkflow,
    stock: &VirtualStock,
    owner: &Owner,
    context: &Context,
) -> Result<Desired, Error> {
    let valid = validate(workflow, stock, &context.kafka_scope)?;
    context.user_rights.check(owner, &valid.kafka)?;
    let setting = Setting { image: &context.services_image, keda: context.has_keda() };
    build(workflow, owner, &valid, setting)
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
