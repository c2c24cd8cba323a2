//! Asks inventory-service for the ledger, and declares the stock to it.

use kbnt_crds::VirtualStock;

use crate::conditions::{Finding, Status};
use crate::context::Context;
use crate::error::Error;
use crate::ownership::Owner;
use crate::pipeline::{Desired, Failure, waker};
use crate::service_client::{CallError, Declaration, Observed, StockSummary, declare};
use crate::workloads::{Role, State, View};

/// The report of inventory-service.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The ledger, once the service runs.
    pub(super) summary: Observed<StockSummary>,
    /// Declarations that the service refused, and why.
    pub(super) refused: Vec<(Declaration, CallError)>,
}

/// Declares the stock once the service is available. A declaration is compared with the units ever received,
/// and a damaged log may have lost some of them.
pub(super) async fn consult(
    stock: &VirtualStock,
    owner: &Owner,
    desired: &Desired,
    log: &Finding,
    services: &[View],
    context: &Context,
) -> (Ledger, Result<(), Failure>) {
    let mut ledger = Ledger::default();
    if services.iter().any(|service| service.state != State::Available) {
        return (ledger, Ok(()));
    }
    let url = context.address.of(&owner.namespace, &Role::Inventory.object_name(&owner.name));
    let summary = format!("{url}/v1/stock/summary");
    ledger.summary = context.ledgers.observe(&owner.uid, &summary, waker::<VirtualStock>(owner, context));
    let Observed::Seen(summary) = &ledger.summary else { return (ledger, Ok(())) };
    if stock.spec.paused || log.status == Status::False {
        return (ledger, Ok(()));
    }
    let failed = declare(&url, &desired.declarations, summary).await;
    let (refused, failed): (Vec<_>, Vec<_>) = failed.into_iter().partition(|(_, error)| error.is_refusal());
    ledger.refused = refused;
    let failed = failed.into_iter().map(|(declaration, source)| Error::Service {
        action: format!("declare {}", declaration.id),
        source,
    });
    (ledger, Error::all(failed.collect()).map_err(Failure::Declarations))
}
