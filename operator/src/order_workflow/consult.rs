//! Asks order-service for the order counts.

use kbnt_crds::OrderWorkflow;

use crate::context::Context;
use crate::ownership::Owner;
use crate::pipeline::waker;
use crate::service_client::{Observed, OrderSummary};
use crate::workloads::{Role, State, View};

/// The counts of orders, once the service is available.
pub(super) fn consult(owner: &Owner, services: &[View], context: &Context) -> Observed<OrderSummary> {
    let name = Role::Order.object_name(&owner.name);
    if !services.iter().any(|service| service.name == name && service.state == State::Available) {
        return Observed::Nothing;
    }
    let url = format!("{}/v1/orders/summary", context.address.of(&owner.namespace, &name));
    context.orders.observe(&owner.uid, &url, waker::<OrderWorkflow>(owner, context))
}
