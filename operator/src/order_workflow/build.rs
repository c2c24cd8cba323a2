//! What an OrderWorkflow takes.

use k8s_openapi::api::core::v1::EnvVar;
use kbnt_crds::OrderWorkflow;
use kbnt_crds::common::{SecretRef, ServiceSpec, TopicDeletionPolicy};
use kbnt_crds::order_workflow::User;
use serde_json::json;

use super::validate::{Notification, Payment, Valid};
use crate::error::Error;
use crate::topics::{self, Asked, OF_WORKFLOW, Owner, Place, Topics};
use crate::users::{self, ServiceUser};
use crate::workloads::{self, File, Plan, Role, Scaling, Source, Workload, from_field, plain};

/// The services of an OrderWorkflow.
const ROLES: [Role; 5] = [Role::User, Role::Payment, Role::Order, Role::Notification, Role::Audit];

/// Everything that an OrderWorkflow takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Desired {
    pub(super) topics: Topics,
    pub(super) users: Vec<ServiceUser>,
    pub(super) workloads: Vec<Workload>,
    /// Where its topics and users are, if Strimzi makes them.
    pub(super) place: Option<Place>,
    /// Whether the resource has to wait for topics or users elsewhere when it is deleted.
    pub(super) finalizer: bool,
}

/// What the operator has for all workflows.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Image of the services.
    pub(super) image: &'a str,
    /// Whether KEDA is there to scale them.
    pub(super) keda: bool,
}

/// Everything that this resource takes.
pub(super) fn build(
    workflow: &OrderWorkflow,
    owner: &Owner,
    valid: &Valid,
    setting: Setting<'_>,
) -> Result<Desired, Error> {
    let spec = &workflow.spec;
    let asked = Asked {
        topics: &OF_WORKFLOW,
        settings: &spec.topics,
        policy: spec.topic_deletion_policy,
        image: setting.image,
        template: &spec.services.order.pod_template,
    };
    let users = users::build(owner, &valid.kafka, &ROLES);
    let place = valid.kafka.place.clone();
    let elsewhere = place.as_ref().is_some_and(|place| place.namespace != owner.namespace);
    Ok(Desired {
        finalizer: elsewhere
            && (!users.is_empty() || spec.topic_deletion_policy == TopicDeletionPolicy::Delete),
        place,
        users,
        topics: topics::build(owner, &valid.kafka, asked)?,
        workloads: plans(workflow, owner, valid, setting)?
            .iter()
            .map(|plan| workloads::build(owner, plan))
            .collect::<Result<_, _>>()?,
    })
}

fn plans(
    workflow: &OrderWorkflow,
    owner: &Owner,
    valid: &Valid,
    setting: Setting<'_>,
) -> Result<Vec<Plan>, Error> {
    let (services, users) = (&workflow.spec.services, &workflow.spec.users);
    let plan = |role, service: &ServiceSpec, (mut env, files): (Vec<EnvVar>, _)| {
        // The name of a pod outlives its container.
        let static_member = || from_field("KBNT_KAFKA_STATIC_MEMBER", "metadata.name");
        env.extend(service.static_membership.then(static_member));
        Plan {
            role,
            image: setting.image.to_owned(),
            kafka: users::with_login(owner, &valid.kafka, role),
            replicas: service.replicas,
            scaling: service.autoscaling.clone().map(|spec| Scaling { spec, keda: setting.keda }),
            resources: service.resources.clone(),
            template: service.pod_template.clone(),
            env,
            files,
            standby: None,
        }
    };
    let source =
        Source::Users { config_map: format!("{}-users", owner.name), json: users_json(&users.declared)? };
    let user = (
        vec![plain("KBNT_ALLOW_UNKNOWN_USERS", users.allow_unknown.to_string())],
        vec![File { env: "KBNT_USERS_FILE", name: "users", source }],
    );
    let none = || (Vec::new(), Vec::new());
    Ok(vec![
        plan(Role::User, &services.user, user),
        plan(Role::Payment, &services.payment, payment(&valid.payment)),
        plan(Role::Order, &services.order, none()),
        plan(Role::Notification, &services.notification, notification(&valid.notification)),
        plan(Role::Audit, &services.audit.clone().into(), none()),
    ])
}

fn users_json(users: &[User]) -> Result<String, Error> {
    let users: Vec<_> =
        users.iter().map(|user| json!({"userId": user.id, "name": user.name, "email": user.email})).collect();
    Ok(serde_json::to_string(&users)?)
}

/// What payment-service reads: variables and files.
fn payment(payment: &Payment) -> (Vec<EnvVar>, Vec<File>) {
    match payment {
        Payment::Simulated(decline_above) => {
            let above = decline_above.iter().map(|amount| plain("KBNT_PAYMENT_DECLINE_ABOVE", amount));
            (std::iter::once(plain("KBNT_PAYMENT_SIMULATED", "true")).chain(above).collect(), Vec::new())
        }
        Payment::Http(gateway) => {
            let secret = gateway
                .secret_ref
                .iter()
                .map(|reference| secret("KBNT_PAYMENT_SECRET_FILE", "gateway", reference));
            (vec![plain("KBNT_PAYMENT_URL", &gateway.url)], secret.collect())
        }
    }
}

/// What notification-service reads: variables and files.
fn notification(notification: &Notification) -> (Vec<EnvVar>, Vec<File>) {
    match notification {
        Notification::Log => (Vec::new(), Vec::new()),
        Notification::Webhook(webhook) => (
            vec![plain("KBNT_WEBHOOK_URL", &webhook.url)],
            vec![secret("KBNT_WEBHOOK_SECRET_FILE", "webhook", &webhook.secret_ref)],
        ),
    }
}

fn secret(env: &'static str, name: &'static str, reference: &SecretRef) -> File {
    File { env, name, source: Source::Secret(reference.clone()) }
}

#[cfg(test)]
pub(super) mod tests {
    use kbnt_crds::VirtualStock;
    use kbnt_crds::order_workflow::{HttpPayment, Webhook};

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
        build(workflow, &Owner::of(workflow), &valid, Setting { image: "services:1", keda: false }).unwrap()
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
            made.topics.objects().iter().filter_map(|topic| topic.metadata.name.as_deref()).collect();
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
    fn a_static_member_has_the_name_of_its_pod() {
        let mut workflow = workflow();
        workflow.spec.services.order.static_membership = true;
        workflow.spec.services.audit.static_membership = true;
        let made = desired(&workflow, &stock());
        let member = |role| {
            let env = env(&made, role);
            let variable = env.into_iter().find(|variable| variable.name == "KBNT_KAFKA_STATIC_MEMBER")?;
            Some(variable.value_from?.field_ref?.field_path)
        };
        let roles = [Role::User, Role::Payment, Role::Order, Role::Notification, Role::Audit];
        let name = || Some("metadata.name".to_owned());
        assert_eq!(roles.map(member), [None, None, name(), None, name()]);
    }

    #[test]
    fn a_gateway_and_a_webhook_over_http_find_their_secrets_in_files() {
        let mut workflow = workflow();
        let secret = SecretRef { name: "keys".into(), key: "gateway-key".into() };
        workflow.spec.payment.simulated = None;
        workflow.spec.payment.http =
            Some(HttpPayment { url: "https://pay.example".into(), secret_ref: Some(secret.clone()) });
        workflow.spec.notification.log = None;
        workflow.spec.notification.webhook =
            Some(Webhook { url: "https://hook.example".into(), secret_ref: secret });
        let made = desired(&workflow, &stock());
        let payment = env(&made, Role::Payment);
        assert_eq!(value(&payment, "KBNT_PAYMENT_URL").as_deref(), Some("https://pay.example"));
        let path = value(&payment, "KBNT_PAYMENT_SECRET_FILE");
        assert_eq!(path.as_deref(), Some("/etc/kbnt/gateway/gateway-key"));
        let notification = env(&made, Role::Notification);
        assert_eq!(value(&notification, "KBNT_WEBHOOK_URL").as_deref(), Some("https://hook.example"));
        let path = value(&notification, "KBNT_WEBHOOK_SECRET_FILE");
        assert_eq!(path.as_deref(), Some("/etc/kbnt/webhook/gateway-key"));
        let pod = made.workloads[1].deployment.spec.template.spec.as_ref().unwrap();
        let volume = pod.volumes.as_ref().unwrap()[0].secret.as_ref().unwrap();
        assert_eq!(volume.secret_name.as_deref(), Some("keys"));
        assert_eq!(volume.items.as_ref().unwrap()[0].key, "gateway-key");
    }
}
