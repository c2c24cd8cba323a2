//! What an OrderWorkflow takes.

use k8s_openapi::api::core::v1::EnvVar;
use kbnt_crds::common::{HttpEndpoint, Resources, TopicDeletionPolicy};
use kbnt_crds::order_workflow::User;
use kbnt_crds::{KafkaTopic, OrderWorkflow};
use serde_json::json;

use super::validate::{Notification, Payment, Valid};
use crate::error::Error;
use crate::topics::{self, OF_WORKFLOW, Owner};
use crate::workloads::{self, Plan, Role, Users, Workload, plain, secret};

/// Everything that an OrderWorkflow takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Desired {
    /// None where Strimzi does not run the cluster.
    pub(super) topics: Option<Vec<KafkaTopic>>,
    pub(super) workloads: Vec<Workload>,
    /// Whether the resource has to wait for topics elsewhere when it is deleted.
    pub(super) finalizer: bool,
}

/// Everything that this resource takes.
pub(super) fn build(
    workflow: &OrderWorkflow,
    owner: &Owner,
    valid: &Valid,
    image: &str,
) -> Result<Desired, Error> {
    let spec = &workflow.spec;
    let prefix = &valid.kafka.prefix;
    let topics = match &valid.kafka.place {
        Some(place) => {
            Some(topics::build(owner, place, prefix, &OF_WORKFLOW, &spec.topics, spec.topic_deletion_policy)?)
        }
        None => None,
    };
    Ok(Desired {
        finalizer: spec.topic_deletion_policy == TopicDeletionPolicy::Delete
            && valid.kafka.place.as_ref().is_some_and(|place| place.namespace != owner.namespace),
        topics,
        workloads: plans(workflow, owner, valid, image)?
            .iter()
            .map(|plan| workloads::build(owner, plan))
            .collect(),
    })
}

fn plans(workflow: &OrderWorkflow, owner: &Owner, valid: &Valid, image: &str) -> Result<Vec<Plan>, Error> {
    let (services, users) = (&workflow.spec.services, &workflow.spec.users);
    let plan = |role, replicas, resources: &Resources, env, users| Plan {
        role,
        image: image.to_owned(),
        kafka: valid.kafka.clone(),
        replicas,
        resources: resources.clone(),
        env,
        users,
    };
    let declared = Users { config_map: format!("{}-users", owner.name), json: users_json(&users.declared)? };
    let unknown = vec![plain("KBNT_ALLOW_UNKNOWN_USERS", users.allow_unknown.to_string())];
    let (user, payment, order) = (&services.user, &services.payment, &services.order);
    let (notification, audit) = (&services.notification, &services.audit);
    Ok(vec![
        plan(Role::User, user.replicas, &user.resources, unknown, Some(declared)),
        plan(Role::Payment, payment.replicas, &payment.resources, payment_env(&valid.payment), None),
        plan(Role::Order, order.replicas, &order.resources, Vec::new(), None),
        plan(
            Role::Notification,
            notification.replicas,
            &notification.resources,
            notification_env(&valid.notification),
            None,
        ),
        plan(Role::Audit, audit.replicas, &audit.resources, Vec::new(), None),
    ])
}

fn users_json(users: &[User]) -> Result<String, Error> {
    let users: Vec<_> =
        users.iter().map(|user| json!({"userId": user.id, "name": user.name, "email": user.email})).collect();
    Ok(serde_json::to_string(&users)?)
}

fn payment_env(payment: &Payment) -> Vec<EnvVar> {
    match payment {
        Payment::Simulated(None) => Vec::new(),
        Payment::Simulated(Some(amount)) => vec![plain("KBNT_PAYMENT_DECLINE_ABOVE", amount)],
        Payment::Http(endpoint) => endpoint_env("KBNT_PAYMENT", endpoint),
    }
}

fn notification_env(notification: &Notification) -> Vec<EnvVar> {
    match notification {
        Notification::Log => Vec::new(),
        Notification::Webhook(endpoint) => endpoint_env("KBNT_NOTIFICATION", endpoint),
    }
}

fn endpoint_env(prefix: &str, endpoint: &HttpEndpoint) -> Vec<EnvVar> {
    let url = plain(&format!("{prefix}_URL"), &endpoint.url);
    let token = endpoint.secret_ref.as_ref().map(|reference| secret(&format!("{prefix}_TOKEN"), reference));
    std::iter::once(url).chain(token).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use kbnt_crds::VirtualStock;
    use kbnt_crds::common::SecretRef;

    use super::super::validate::validate;
    use super::*;
    use crate::cluster::Scope;

    pub(in super::super) fn workflow() -> OrderWorkflow {
        let text = include_str!("../../../manifests/samples/orderworkflow.yaml");
        let mut workflow: OrderWorkflow = serde_yaml::from_str(text).unwrap();
        workflow.metadata.uid = Some("u2".into());
        workflow.metadata.generation = Some(1);
        workflow
    }

    pub(in super::super) fn stock() -> VirtualStock {
        serde_yaml::from_str(include_str!("../../../manifests/samples/virtualstock.yaml")).unwrap()
    }

    fn desired(workflow: &OrderWorkflow, stock: &VirtualStock) -> Desired {
        let valid = validate(workflow, stock, &Scope::Cluster).unwrap();
        build(workflow, &Owner::of(workflow), &valid, "services:1").unwrap()
    }

    fn env(desired: &Desired, role: Role) -> Vec<EnvVar> {
        let name = role.object_name("main");
        let made =
            desired.workloads.iter().find(|made| made.deployment.metadata.name.as_deref() == Some(&name));
        let pod = made.unwrap().deployment.spec.clone().template.spec.unwrap();
        pod.containers[0].env.clone().unwrap()
    }

    fn value(env: &[EnvVar], name: &str) -> Option<String> {
        env.iter().find(|variable| variable.name == name).and_then(|variable| variable.value.clone())
    }

    #[test]
    fn the_sample_takes_six_topics_and_five_services_with_the_prefix_of_its_stock() {
        let mut stock = stock();
        stock.spec.kafka.topic_prefix = "a-".into();
        let made = desired(&workflow(), &stock);
        let names: Vec<_> =
            made.topics.as_ref().unwrap().iter().filter_map(|topic| topic.metadata.name.as_deref()).collect();
        assert_eq!(
            names,
            [
                "a-user-events",
                "a-order-events",
                "a-payment-events",
                "a-notification-events",
                "a-audit-logs",
                "a-application-logs"
            ]
        );
        let services: Vec<_> =
            made.workloads.iter().filter_map(|made| made.deployment.metadata.name.as_deref()).collect();
        assert_eq!(
            services,
            [
                "main-user-service",
                "main-payment-service",
                "main-order-service",
                "main-notification-service",
                "main-audit-service"
            ]
        );
        assert_eq!(
            value(&env(&made, Role::Payment), "KBNT_PAYMENT_DECLINE_ABOVE").as_deref(),
            Some("10000.00")
        );
        assert_eq!(value(&env(&made, Role::Order), "KBNT_TOPIC_PREFIX").as_deref(), Some("a-"));
        let config = made.workloads[0].config.as_ref().unwrap();
        assert_eq!(config.metadata.name.as_deref(), Some("main-users"));
        assert!(config.data.as_ref().unwrap()["users.json"].contains(r#""userId":"USER-12345""#));
    }

    #[test]
    fn a_gateway_and_a_webhook_over_http_are_called_with_the_token_of_their_secret() {
        let mut workflow = workflow();
        let endpoint = |url: &str| HttpEndpoint {
            url: url.into(),
            secret_ref: Some(SecretRef { name: "gateway".into(), key: "token".into() }),
        };
        workflow.spec.payment.simulated = None;
        workflow.spec.payment.http = Some(endpoint("https://pay.example"));
        workflow.spec.notification.log = None;
        workflow.spec.notification.webhook =
            Some(HttpEndpoint { secret_ref: None, ..endpoint("https://hook.example") });
        let made = desired(&workflow, &stock());
        let payment = env(&made, Role::Payment);
        assert_eq!(value(&payment, "KBNT_PAYMENT_URL").as_deref(), Some("https://pay.example"));
        let token = payment.iter().find(|variable| variable.name == "KBNT_PAYMENT_TOKEN").unwrap();
        let key = token.value_from.as_ref().unwrap().secret_key_ref.as_ref().unwrap();
        assert_eq!((key.name.as_str(), key.key.as_str()), ("gateway", "token"));
        let notification = env(&made, Role::Notification);
        assert_eq!(value(&notification, "KBNT_NOTIFICATION_URL").as_deref(), Some("https://hook.example"));
        assert!(!notification.iter().any(|variable| variable.name == "KBNT_NOTIFICATION_TOKEN"));
    }
}
