//! Carries out what a VirtualStock takes: finalizer, topic, service, declarations, in this order.

use kbnt_crds::VirtualStock;

use super::build::Desired;
use crate::conditions::{Finding, Status};
use crate::context::Context;
use crate::error::Error;
use crate::ownership::Owner;
use crate::readiness::View;
use crate::service_client::{CallError, Declaration, Observed, StockSummary, declare};
use crate::topics::{self, Applied};
use crate::workloads::{self, Role};
use crate::{finalizer, users, workloads::State};

/// A step that failed, and how.
#[derive(Debug)]
pub(super) enum Failure {
    Topics(Error),
    Users(Error),
    Workloads(Error),
    Declarations(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Topics(error)
            | Failure::Users(error)
            | Failure::Workloads(error)
            | Failure::Declarations(error) => error,
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
    /// What the service tells, once it runs.
    pub(super) ledger: Observed<StockSummary>,
    /// Declarations that the service refused, and why.
    pub(super) refused: Vec<(Declaration, CallError)>,
}

pub(super) async fn apply(
    stock: &VirtualStock,
    owner: &Owner,
    desired: &Desired,
    log: &Finding,
    context: &Context,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let paused = stock.spec.paused;
    if !paused {
        finalizer::set(context, stock, desired.finalizer).await.map_err(Failure::Topics)?;
        topics::apply(context, owner, &desired.topics, &mut progress.topics)
            .await
            .map_err(Failure::Topics)?;
        let topics = topics::look(context, owner, &desired.topics, &progress.topics.held);
        let has_topics = topics.iter().all(|topic| topic.state.is_usable());
        // Rights are given on topics that are its own.
        if has_topics {
            progress.held_users =
                users::apply(context, owner, &desired.users).await.map_err(Failure::Users)?;
        }
        // Services start once their topics and users are ready, and are told which topics these are. Those that run are kept as
        // they should be whatever happens.
        let present = topics::ids(context, owner, &desired.kafka, &topics::OF_STOCK);
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
    let services = workloads::look(context, owner, &desired.workloads);
    if services.iter().any(|service| service.state != State::Available) {
        return Ok(());
    }
    let url = context.address.of(&owner.namespace, &Role::Inventory.object_name(&owner.name));
    progress.ledger = observe(owner, &url, context);
    // What is declared is compared with what was ever received, and a log that is not intact may have forgotten some of it.
    let declares = !paused && log.status != Status::False;
    if let (Observed::Seen(summary), true) = (&progress.ledger, declares) {
        let failed = declare(&url, &desired.declarations, summary).await;
        let (refused, failed): (Vec<_>, Vec<_>) =
            failed.into_iter().partition(|(_, error)| error.is_refusal());
        progress.refused = refused;
        let failed = failed.into_iter().map(|(declaration, source)| Error::Service {
            action: format!("declare {}", declaration.id),
            source,
        });
        Error::all(failed.collect()).map_err(Failure::Declarations)?;
    }
    Ok(())
}

fn observe(owner: &Owner, url: &str, context: &Context) -> Observed<StockSummary> {
    let (queue, namespace, name) = (context.stock_queue.clone(), owner.namespace.clone(), owner.name.clone());
    context
        .ledgers
        .observe(&owner.uid, &format!("{url}/v1/stock/summary"), move || queue.push(&namespace, &name))
}
