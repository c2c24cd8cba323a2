//! Validates what the rules of the CRD cannot check.

use kbnt_crds::closed_orders::ClosedOrdersSpec;
use kbnt_crds::order_workflow::{HttpPayment, SimulatedPayment, Webhook as WebhookSpec};
use kbnt_crds::{OrderWorkflow, VirtualStock};

use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::kube::Scope;
use crate::workloads;

/// The payment gateway.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Payment {
    /// A simulated gateway.
    Simulated(SimulatedPayment),
    /// A gateway over HTTP.
    Http(HttpPayment),
}

/// How customers are notified.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Notification {
    /// To the log of the service.
    Log,
    /// To a webhook.
    Webhook(WebhookSpec),
}

/// An OrderWorkflow that can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    pub(super) kafka: Kafka,
    pub(super) closed_orders: ClosedOrdersSpec,
    pub(super) payment: Payment,
    pub(super) notification: Notification,
}

impl AsRef<Kafka> for Valid {
    fn as_ref(&self) -> &Kafka {
        &self.kafka
    }
}

/// Checks that this resource can be carried out with this stock, within the operator's `reach`.
pub(super) fn validate(
    workflow: &OrderWorkflow,
    stock: &VirtualStock,
    reach: &Scope,
) -> Result<Valid, Error> {
    let services = &workflow.spec.services;
    for (service, template) in [
        ("services.user", &services.user.pod_template),
        ("services.payment", &services.payment.pod_template),
        ("services.order", &services.order.pod_template),
        ("services.notification", &services.notification.pod_template),
        ("services.audit", &services.audit.pod_template),
    ] {
        workloads::check(service, template)?;
    }
    let namespace = workflow.metadata.namespace.as_deref().unwrap_or_default();
    let payment = &workflow.spec.payment;
    let notification = &workflow.spec.notification;
    Ok(Valid {
        kafka: Kafka::of(&stock.spec.kafka, namespace, reach)?,
        closed_orders: stock.spec.closed_orders.clone(),
        payment: match (&payment.simulated, &payment.http) {
            (Some(simulated), None) => Payment::Simulated(simulated.clone()),
            (None, Some(endpoint)) if !kbnt_rules::is_base_url(&endpoint.url) => {
                return Err(unfit("payment.http.url", &endpoint.url, kbnt_rules::BASE_URL_ADVICE));
            }
            (None, Some(endpoint)) => Payment::Http(endpoint.clone()),
            _ => return Err(Error::Invalid("give exactly one of payment.simulated and payment.http".into())),
        },
        notification: match (&notification.log, &notification.webhook) {
            (Some(_), None) => Notification::Log,
            (None, Some(endpoint)) if !kbnt_rules::is_url(&endpoint.url) => {
                return Err(unfit("notification.webhook.url", &endpoint.url, kbnt_rules::URL_ADVICE));
            }
            (None, Some(endpoint)) => Notification::Webhook(endpoint.clone()),
            _ => {
                return Err(Error::Invalid(
                    "give exactly one of notification.log and notification.webhook".into(),
                ));
            }
        },
    })
}

/// The error for a value that a rule would refuse now. The resource may be older than the rule, and the
/// service would not start with that value.
fn unfit(field: &str, value: &str, advice: &str) -> Error {
    Error::Invalid(format!("{field} {value:?}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::super::build::tests::{stock, workflow};
    use super::*;

    fn error(workflow: &OrderWorkflow) -> String {
        validate(workflow, &stock(), &Scope::Cluster).unwrap_err().to_string()
    }

    #[test]
    fn an_address_of_before_the_rule_is_told_and_not_tried() {
        for url in ["http://h/pay?tenant=7", "http://h:99999/", "http://xn--/", "http://xn--a.example/pay"] {
            let mut workflow = workflow();
            workflow.spec.payment.simulated = None;
            workflow.spec.payment.http = Some(HttpPayment { url: url.into(), secret_ref: None });
            assert!(error(&workflow).starts_with(&format!("payment.http.url {url:?}: url must be")));
        }
        let mut workflow = workflow();
        workflow.spec.notification.log = None;
        let url = "http://hook:70000/a?b=c".to_owned();
        workflow.spec.notification.webhook = Some(WebhookSpec { url, ..WebhookSpec::default() });
        assert!(error(&workflow).starts_with("notification.webhook.url"));
        workflow.spec.notification.webhook.as_mut().unwrap().url = "http://hook/a?b=c".into();
        assert!(validate(&workflow, &stock(), &Scope::Cluster).is_ok());
        let env = serde_json::json!([{"name": "KBNT_LOG", "value": "debgu"}]);
        workflow.spec.services.audit.pod_template.env = serde_json::from_value(env).unwrap();
        assert!(error(&workflow).starts_with("services.audit.podTemplate.env KBNT_LOG"));
    }
}
