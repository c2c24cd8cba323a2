//! Reconciles a VirtualStock: its topic, its service, and what is declared to that.

mod apply;
mod build;
mod status;
mod validate;

use kbnt_crds::VirtualStock;
use kbnt_crds::common::TopicDeletionPolicy;

use crate::context::Context;
use crate::controller::Outcome;
use crate::error::Error;
use crate::recognizer::Parts;
use crate::topics::Owner;
use crate::{finalizer, topics, users};
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
    let result = match &planned {
        Ok(desired) => apply(stock, &owner, desired, context, &mut progress).await,
        Err(_) => Ok(()),
    };
    let seen = status::See::of(&owner, planned.as_ref(), &progress, result.as_ref().err(), context);
    let written = crate::status::write(context, stock, status::compute(stock, &seen)).await;
    Outcome::of(planned.map(drop).and(result.map_err(Error::from)))
        .and(written)
        .again_for(&progress.topics, &progress.held_users)
}

fn plan(stock: &VirtualStock, owner: &Owner, context: &Context) -> Result<Desired, Error> {
    let valid = validate(stock, &context.kafka_scope)?;
    context.user_rights.check(owner, &valid.kafka)?;
    build(stock, owner, &valid, Setting { image: &context.services_image, standby: &context.standby_role })
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
