//! Builds the objects that an OrderWorkflow needs.

use k8s_openapi::api::core::v1::EnvVar;
use kbnt_crds::OrderWorkflow;
use kbnt_crds::common::{SecretRef, ServiceSpec, TopicDeletionPolicy};
use kbnt_crds::order_workflow::{OrderWorkflowSpec, User};
use serde_json::json;

use super::validate::{Notification, Payment, Valid};
use crate::error::Error;
use crate::log::{self, Identity};
use crate::ownership::Owner;
use crate::pipeline::Desired;
use crate::topics::{self, Asked, OF_WORKFLOW, TopicIds};
use crate::users;
use crate::workloads::{
    self, Checkpoints, File, Plan, Role, Scaling, Source, closed_order_window, from_field, history_database,
    plain,
};

/// The services of an OrderWorkflow.
pub(super) const ROLES: [Role; 5] = [Role::User, Role::Payment, Role::Order, Role::Notification, Role::Audit];

/// What the operator has for all workflows.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Image of the services.
    pub(super) image: &'a str,
    /// Whether KEDA is available to scale the services.
    pub(super) keda: bool,
    /// Ids of topics of other resources that the services must know.
    pub(super) others: &'a TopicIds,
}

/// Everything that this resource needs.
pub(super) fn build(
    workflow: &OrderWorkflow,
    owner: &Owner,
    valid: &Valid,
    known: Identity,
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
    let elsewhere = valid.kafka.place.as_ref().is_some_and(|place| place.namespace != owner.namespace);
    let checkpoints = spec.checkpoints.as_ref().map(|asked| Checkpoints::of(owner, asked)).transpose()?;
    Ok(Desired {
        finalizer: elsewhere
            && (!users.is_empty() || spec.topic_deletion_policy == TopicDeletionPolicy::Delete),
        users,
        topics: topics::build(owner, &valid.kafka, asked)?,
        volume: checkpoints.as_ref().and_then(Checkpoints::claim).cloned(),
        workloads: plans(workflow, owner, valid, &known, setting, checkpoints.as_ref())
            .iter()
            .map(|plan| workloads::build(owner, plan))
            .collect::<Result<_, _>>()?,
        declarations: Vec::new(),
        known,
        kafka: valid.kafka.clone(),
    })
}

/// Whether a service has something of which it keeps checkpoints.
fn has_checkpoints(role: Role, spec: &OrderWorkflowSpec) -> bool {
    match role {
        Role::User | Role::Audit => true,
        Role::Order => spec.read_model.as_ref().is_some_and(|history| history.volume_claim.is_some()),
        _ => false,
    }
}

fn plans(
    workflow: &OrderWorkflow,
    owner: &Owner,
    valid: &Valid,
    known: &Identity,
    setting: Setting<'_>,
    checkpoints: Option<&Checkpoints>,
) -> Vec<Plan> {
    let spec = &workflow.spec;
    let (services, users) = (&spec.services, &spec.users);
    let mut ids = setting.others.clone();
    ids.extend(known.ids());
    let ids = log::variable(&ids).map(|(name, value)| plain(name, value));
    let plan = |role, service: &ServiceSpec, (mut env, files): (Vec<EnvVar>, _)| {
        // The name of a pod outlives its container.
        let static_member = || from_field("KBNT_KAFKA_STATIC_MEMBER", "metadata.name");
        env.extend(service.static_membership.then(static_member));
        env.extend(ids.clone());
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
            closed_orders: None,
            read_model: spec.read_model.clone().filter(|_| role == Role::Order),
            checkpoints: checkpoints.filter(|_| has_checkpoints(role, spec)).cloned(),
            in_turn: false,
        }
    };
    let source =
        Source::Users { config_map: format!("{}-users", owner.name), json: users_json(&users.declared) };
    let user = (
        vec![
            plain("KBNT_ALLOW_UNKNOWN_USERS", users.allow_unknown.to_string()),
            // It refuses orders that inventory-service cannot remember any more, and no others.
            closed_order_window(&valid.closed_orders),
        ],
        vec![File { env: "KBNT_USERS_FILE", name: "users", source }],
    );
    let none = || (Vec::new(), Vec::new());
    vec![
        plan(Role::User, &services.user, user),
        plan(Role::Payment, &services.payment, payment(&valid.payment)),
        plan(Role::Order, &services.order, history_database(spec.read_model.as_ref())),
        plan(Role::Notification, &services.notification, notification(&valid.notification)),
        plan(Role::Audit, &services.audit.clone().into(), none()),
    ]
}

/// The most bytes of declared users that user-service gets: a ConfigMap holds 1 MiB.
const USERS_BYTES_MOST: usize = 1_040_000;

/// The valid declared users that fit, in the format that user-service reads.
fn users_json(users: &[User]) -> String {
    let (fitting, _) = split(users);
    format!("[{}]", fitting.join(","))
}

/// Splits the valid declared users: as JSON those that fit into a ConfigMap, then the rest from the first
/// that does not fit.
fn split(users: &[User]) -> (Vec<String>, Vec<&User>) {
    let (mut fitting, mut left_out, mut bytes) = (Vec::new(), Vec::new(), 2);
    for user in users.iter().filter(|user| objection(user).is_none()) {
        let json = json!({"userId": user.id, "name": user.name, "email": user.email}).to_string();
        bytes += json.len() + 1;
        if bytes > USERS_BYTES_MOST {
            left_out.push(user);
        } else {
            fitting.push(json);
        }
    }
    (fitting, left_out)
}

/// The valid declared users that do not fit.
pub(super) fn too_many(users: &[User]) -> Vec<&User> {
    split(users).1
}

/// Why a user is invalid. The resource may be older than the rule.
pub(super) fn objection(user: &User) -> Option<String> {
    let advice = kbnt_rules::user_objection(&user.id, &user.name, &user.email)?;
    Some(format!("{:?}: {advice}", user.id))
}

/// Variables and files for payment-service.
fn payment(payment: &Payment) -> (Vec<EnvVar>, Vec<File>) {
    match payment {
        Payment::Simulated(gateway) => {
            let mut env = vec![
                plain("KBNT_PAYMENT_SIMULATED", "true"),
                plain("KBNT_PAYMENT_TEST_TOKENS", gateway.test_tokens.to_string()),
            ];
            env.extend(
                gateway.decline_above.iter().map(|amount| plain("KBNT_PAYMENT_DECLINE_ABOVE", amount)),
            );
            (env, Vec::new())
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

/// Variables and files for notification-service.
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
    use k8s_openapi::api::core::v1::PodSpec;
    use kbnt_crds::VirtualStock;
    use kbnt_crds::order_workflow::{HttpPayment, Webhook};

    use super::super::validate::validate;
    use super::*;
    use crate::kube::Scope;

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
        let others = TopicIds::from([("inventory-events".to_owned(), "i".to_owned())]);
        let setting = Setting { image: "services:1", keda: false, others: &others };
        build(workflow, &Owner::of(workflow), &valid, Identity::default(), setting).unwrap()
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
    fn a_user_that_cannot_be_is_left_out_and_the_others_are_not() {
        let mut workflow = workflow();
        let all = workflow.spec.users.declared.len();
        workflow.spec.users.declared[0].name = "Ana Maria\n".into();
        workflow.spec.users.declared[1].email = format!("{}@x", "ü".repeat(200));
        workflow.spec.users.declared[2].id = "..".into();
        let objections: Vec<_> = workflow.spec.users.declared.iter().filter_map(objection).collect();
        assert_eq!(objections.len(), 3, "{objections:?}");
        let made = desired(&workflow, &stock());
        let json = made.workloads[0].config.as_ref().unwrap().data.as_ref().unwrap()["users.json"].clone();
        let users: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(users.len(), all - 3);
    }

    #[test]
    fn users_that_do_not_fit_into_a_config_map_are_left_out() {
        let mut workflow = workflow();
        let user = |number: usize| User {
            id: format!("{number:064}"),
            name: "\u{1f600}".repeat(200),
            email: format!("{}@x", "\u{1f600}".repeat(63)),
        };
        workflow.spec.users.declared = (0..1000).map(user).collect();
        let made = desired(&workflow, &stock());
        let json = made.workloads[0].config.as_ref().unwrap().data.as_ref().unwrap()["users.json"].clone();
        let users: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let left_out = too_many(&workflow.spec.users.declared);
        assert!(json.len() <= 1 << 20 && json.len() > 1_000_000, "{}", json.len());
        assert!(!left_out.is_empty() && users.len() + left_out.len() == 1000);
        assert_eq!(left_out[0].id, format!("{:064}", users.len()));
    }

    #[test]
    fn the_services_know_the_topics_of_the_stock_too() {
        let made = desired(&workflow(), &stock());
        for role in ROLES {
            let ids = value(&env(&made, role), "KBNT_KAFKA_TOPIC_IDS");
            assert_eq!(ids.as_deref(), Some("inventory-events=i"));
        }
    }

    #[test]
    fn user_service_learns_from_the_stock_for_how_long_orders_are_remembered() {
        let mut stock = stock();
        stock.spec.closed_orders.window = "48h".into();
        let made = desired(&workflow(), &stock);
        let window = |role| value(&env(&made, role), "KBNT_CLOSED_ORDER_WINDOW");
        let user = Some("48h".to_owned());
        assert_eq!(ROLES.map(window), [user, None, None, None, None]);
    }

    #[test]
    fn test_tokens_are_taken_only_where_the_resource_says_so() {
        let mut workflow = workflow();
        let tokens = |workflow: &OrderWorkflow| {
            value(&env(&desired(workflow, &stock()), Role::Payment), "KBNT_PAYMENT_TEST_TOKENS")
        };
        assert_eq!(tokens(&workflow).as_deref(), Some("true"));
        workflow.spec.payment.simulated = Some(kbnt_crds::order_workflow::SimulatedPayment::default());
        assert_eq!(tokens(&workflow).as_deref(), Some("false"));
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
    fn the_read_model_is_order_services_alone_and_changes_nothing_else() {
        let mut workflow = workflow();
        let without = desired(&workflow, &stock());
        workflow.spec.read_model =
            Some(serde_json::from_value(json!({"volumeClaim": {"size": "1Gi"}})).unwrap());
        let with = desired(&workflow, &stock());
        for (without, with) in without.workloads.iter().zip(&with.workloads) {
            let name = with.deployment.metadata.name.as_deref();
            let concerned = name == Some("main-order-service");
            assert_eq!(without != with, concerned, "{name:?}");
        }
        let order = |made: &Desired| made.workloads[2].deployment.spec.clone();
        let (without, with) = (order(&without), order(&with));
        // A new pod is ready before an old one goes, as before.
        assert_eq!((&without.strategy, &without.selector), (&with.strategy, &with.selector));
        let (without, with) = (without.template.spec.unwrap(), with.template.spec.unwrap());
        let group = |pod: &PodSpec| pod.security_context.as_ref().and_then(|security| security.fs_group);
        assert_eq!((group(&without), group(&with)), (None, Some(65_532)));
        let (without, with) = (&without.containers[0], &with.containers[0]);
        assert_eq!(
            (&without.args, &without.readiness_probe, &without.liveness_probe, &without.security_context),
            (&with.args, &with.readiness_probe, &with.liveness_probe, &with.security_context)
        );
    }

    #[test]
    fn checkpoints_are_of_the_services_that_fold_a_log_of_their_own_without_end() {
        let mut workflow = workflow();
        let without = desired(&workflow, &stock());
        let store = json!({"url": "s3://shop/main", "secretRef": {"name": "bucket"}});
        workflow.spec.checkpoints =
            Some(serde_json::from_value(json!({"interval": "10s", "objectStore": store})).unwrap());
        let with = desired(&workflow, &stock());
        let place = |role| value(&env(&with, role), "KBNT_CHECKPOINT_TO");
        let to = || Some("s3://shop/main".to_owned());
        assert_eq!(ROLES.map(place), [to(), None, None, None, to()]);
        for (without, with) in without.workloads.iter().zip(&with.workloads) {
            let name = with.deployment.metadata.name.as_deref();
            let concerned = matches!(name, Some("main-user-service" | "main-audit-service"));
            assert_eq!(without != with, concerned, "{name:?}");
        }
        // order-service has a history to keep.
        let history = json!({"volumeClaim": {"size": "1Gi"}});
        workflow.spec.read_model = Some(serde_json::from_value(history).unwrap());
        let with = desired(&workflow, &stock());
        let place = |role| value(&env(&with, role), "KBNT_CHECKPOINT_TO");
        assert_eq!(ROLES.map(place), [to(), None, to(), None, to()]);
        assert_eq!(value(&env(&with, Role::Order), "KBNT_CHECKPOINT_INTERVAL").as_deref(), Some("10s"));
        // A database outlives the pods by itself.
        let history = json!({"postgres": {"secretRef": {"name": "db", "key": "uri"}}});
        workflow.spec.read_model = Some(serde_json::from_value(history).unwrap());
        let with = desired(&workflow, &stock());
        assert_eq!(value(&env(&with, Role::Order), "KBNT_CHECKPOINT_TO"), None);
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
