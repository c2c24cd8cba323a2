//! What the definition's rules cannot check.

use kbnt_crds::order_workflow::{HttpPayment, SimulatedPayment, Webhook as WebhookSpec};
use kbnt_crds::{OrderWorkflow, VirtualStock};

use crate::cluster::Scope;
use crate::error::Error;
use crate::topics::Kafka;

/// Who takes the money.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Payment {
    /// A simulated gateway.
    Simulated(SimulatedPayment),
    /// A gateway over HTTP.
    Http(HttpPayment),
}

/// How customers are told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Notification {
    /// By the service's log.
    Log,
    /// By a webhook.
    Webhook(WebhookSpec),
}

/// An OrderWorkflow that can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Valid {
    pub(super) kafka: Kafka,
    pub(super) payment: Payment,
    pub(super) notification: Notification,
}

/// Whether this resource can be carried out against this stock, where the operator reaches as far as `reach`.
pub(super) fn validate(
    workflow: &OrderWorkflow,
    stock: &VirtualStock,
    reach: &Scope,
) -> Result<Valid, Error> {
    let namespace = workflow.metadata.namespace.as_deref().unwrap_or_default();
    let payment = &workflow.spec.payment;
    let notification = &workflow.spec.notification;
    Ok(Valid {
        kafka: Kafka::of(&stock.spec.kafka, namespace, reach)?,
        payment: match (&payment.simulated, &payment.http) {
            (Some(simulated), None) => Payment::Simulated(simulated.clone()),
            (None, Some(endpoint)) => Payment::Http(endpoint.clone()),
            _ => return Err(Error::Invalid("give exactly one of payment.simulated and payment.http".into())),
        },
        notification: match (&notification.log, &notification.webhook) {
            (Some(_), None) => Notification::Log,
            (None, Some(endpoint)) => Notification::Webhook(endpoint.clone()),
            _ => {
                return Err(Error::Invalid(
                    "give exactly one of notification.log and notification.webhook".into(),
                ));
            }
        },
    })
}
