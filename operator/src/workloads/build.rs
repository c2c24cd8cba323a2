//! Builds the desired Deployment, Service, ServiceAccount and ConfigMap of a service.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kbnt_crds::closed_orders::ClosedOrdersSpec;
use kbnt_crds::common::Resources;
use kbnt_crds::pod::PodTemplate;
use kbnt_crds::read_model::ReadModelSpec;

use super::pod::{self, File, Source};
use super::{Checkpoints, PORT, Role, Scaler, Scaling, Standby, scale};
use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::labels::{labels, selector};
use crate::owned::DesiredObject;
use crate::ownership::Owner;

/// The inputs that decide how a service runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which service.
    pub role: Role,
    /// Image of all services.
    pub image: String,
    /// The Kafka cluster.
    pub kafka: Kafka,
    /// Minimum number of pods.
    pub replicas: i32,
    /// How it is scaled.
    pub scaling: Option<Scaling>,
    /// Resources of each pod.
    pub resources: Resources,
    /// What the user adds to its pods.
    pub template: PodTemplate,
    /// Variables beyond those that every service has.
    pub env: Vec<EnvVar>,
    /// Files that it reads.
    pub files: Vec<File>,
    /// How it remembers closed orders.
    pub closed_orders: Option<ClosedOrdersSpec>,
    /// The read model that it keeps on disk.
    pub read_model: Option<ReadModelSpec>,
    /// Where it keeps checkpoints.
    pub checkpoints: Option<Checkpoints>,
    /// Whether its pods take turns by a lease.
    pub in_turn: bool,
}

impl Plan {
    /// Name and content of the ConfigMap with the declared users, if the service reads them.
    pub(super) fn users(&self) -> Option<(&str, &str)> {
        self.files.iter().find_map(|file| match &file.source {
            Source::Users { config_map, json } => Some((config_map.as_str(), json.as_str())),
            Source::Secret(_) => None,
        })
    }
}

/// The objects of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its identity.
    pub account: ServiceAccount,
    /// Its only right, if it has one: to hold its lease.
    pub standby: Option<Standby>,
    /// Its address.
    pub service: Service,
    /// Its settings, if it has any.
    pub config: Option<ConfigMap>,
    /// Its pods.
    pub deployment: Deployment,
    /// How many pods may be evicted at a time, if there are several.
    pub budget: Option<PodDisruptionBudget>,
    /// Its autoscaler.
    pub scaler: Option<Scaler>,
}

impl Workload {
    /// All its objects.
    pub fn objects(&self) -> Vec<&dyn DesiredObject> {
        let Self { account, standby, service, config, deployment, budget, scaler } = self;
        let mut objects: Vec<&dyn DesiredObject> = vec![account, service, deployment];
        if let Some(Standby { role, binding }) = standby {
            objects.extend([role as &dyn DesiredObject, binding]);
        }
        objects.extend(config.iter().map(|config| config as &dyn DesiredObject));
        objects.extend(budget.iter().map(|budget| budget as &dyn DesiredObject));
        objects.extend(scaler.iter().map(|scaler| match scaler {
            Scaler::Processor(scaler) => &**scaler as &dyn DesiredObject,
            Scaler::Lag(scaler) => &**scaler,
        }));
        objects
    }
}

/// Builds the objects of the service that `plan` describes.
pub fn build(owner: &Owner, plan: &Plan) -> Result<Workload, Error> {
    let name = plan.role.object_name(&owner.name);
    let component = plan.role.component();
    let metadata = |name: &str| ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(owner.namespace.clone()),
        labels: Some(labels(&owner.name, &component)),
        owner_references: Some(vec![owner.reference(true)]),
        ..ObjectMeta::default()
    };
    let selector = selector(&owner.name, &component);
    let most = plan.scaling.as_ref().map_or(plan.replicas, |scaling| scaling.spec.max_replicas);
    Ok(Workload {
        scaler: scale::build(plan, metadata(&name)),
        account: ServiceAccount {
            metadata: metadata(&name),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
        standby: plan.in_turn.then(|| Standby::of(&metadata(&name))),
        service: Service {
            metadata: metadata(&name),
            spec: Some(ServiceSpec {
                selector: Some(selector.clone()),
                ports: Some(vec![ServicePort {
                    name: Some("http".into()),
                    port: PORT,
                    target_port: Some(IntOrString::String("http".into())),
                    protocol: Some("TCP".into()),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            status: None,
        },
        config: plan.users().map(|(name, json)| ConfigMap {
            metadata: metadata(name),
            data: Some(BTreeMap::from([(pod::USERS_KEY.to_owned(), json.to_owned())])),
            ..ConfigMap::default()
        }),
        deployment: Deployment {
            metadata: metadata(&name),
            spec: DeploymentSpec {
                // The autoscaler, if there is one, decides the number of pods.
                replicas: plan.scaling.is_none().then_some(plan.replicas),
                selector: LabelSelector { match_labels: Some(selector.clone()), match_expressions: None },
                // A new pod is ready before an old one goes.
                strategy: Some(DeploymentStrategy {
                    type_: Some("RollingUpdate".into()),
                    rolling_update: Some(RollingUpdateDeployment {
                        max_surge: Some(IntOrString::Int(1)),
                        max_unavailable: Some(IntOrString::Int(0)),
                    }),
                }),
                revision_history_limit: Some(3),
                progress_deadline_seconds: Some(300),
                template: pod::template(plan, &owner.name)?,
                ..DeploymentSpec::default()
            },
            status: None,
        },
        // It allows one pod at a time to go, and any pod that is not ready, so it never blocks the drain of a
        // node.
        budget: (most > 1).then(|| PodDisruptionBudget {
            metadata: metadata(&name),
            spec: Some(PodDisruptionBudgetSpec {
                max_unavailable: Some(IntOrString::Int(1)),
                min_available: None,
                selector: Some(LabelSelector { match_labels: Some(selector), match_expressions: None }),
                unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            }),
            status: None,
        }),
    })
}

#[cfg(test)]
mod tests {
    use kbnt_crds::common::Autoscaling;
    use serde_json::json;

    use super::*;
    use crate::kafka_cluster::Login;

    fn workload(files: Vec<File>) -> Workload {
        with(files, 2, json!({}))
    }

    fn with(files: Vec<File>, replicas: i32, template: serde_json::Value) -> Workload {
        scaled(files, replicas, template, None)
    }

    fn scaled(
        files: Vec<File>,
        replicas: i32,
        template: serde_json::Value,
        scaling: Option<Scaling>,
    ) -> Workload {
        let owner = Owner {
            kind: "OrderWorkflow".into(),
            namespace: "shop".into(),
            name: "main".into(),
            uid: "u1".into(),
        };
        let plan = Plan {
            role: Role::User,
            image: "services:1".into(),
            kafka: Kafka {
                bootstrap: "kafka:9092".into(),
                prefix: "a-".into(),
                replicas: 3,
                place: None,
                trust: None,
                login: Login::None,
                users: None,
            },
            replicas,
            scaling,
            resources: Resources::default(),
            template: serde_json::from_value(template).unwrap(),
            env: vec![pod::plain("KBNT_ALLOW_UNKNOWN_USERS", "false")],
            files,
            closed_orders: None,
            read_model: None,
            checkpoints: None,
            in_turn: false,
        };
        build(&owner, &plan).unwrap()
    }

    fn users(json: &str) -> Vec<File> {
        let source = Source::Users { config_map: "main-users".into(), json: json.into() };
        vec![File { env: "KBNT_USERS_FILE", name: "users", source }]
    }

    #[test]
    fn every_object_is_named_labelled_and_owned() {
        let made = workload(users("[]"));
        let config = made.config.unwrap();
        for (meta, name) in [
            (&made.account.metadata, "main-user-service"),
            (&made.service.metadata, "main-user-service"),
            (&made.deployment.metadata, "main-user-service"),
            (&config.metadata, "main-users"),
        ] {
            assert_eq!(meta.name.as_deref(), Some(name));
            assert_eq!(meta.namespace.as_deref(), Some("shop"));
            assert_eq!(meta.labels.as_ref().unwrap()["app.kubernetes.io/component"], "user-service");
            let owner = &meta.owner_references.as_ref().unwrap()[0];
            assert_eq!((owner.uid.as_str(), owner.controller), ("u1", Some(true)));
        }
    }

    #[test]
    fn the_pods_are_what_restricted_pod_security_wants_and_have_what_the_services_read() {
        let made = workload(Vec::new());
        let spec = made.deployment.spec;
        let labels = spec.template.metadata.unwrap().labels.unwrap();
        for (key, value) in spec.selector.match_labels.unwrap() {
            assert_eq!(labels[&key], value);
        }
        let pod = spec.template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.security_context.unwrap().run_as_user, Some(65_532));
        let container = &pod.containers[0];
        assert_eq!(container.args.as_ref().unwrap(), &["service", "user"]);
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(security.capabilities.as_ref().unwrap().drop.as_ref().unwrap(), &["ALL"]);
        let value = |name: &str| {
            let found = container.env.as_ref().unwrap().iter().find(|variable| variable.name == name);
            found.and_then(|variable| variable.value.clone())
        };
        assert_eq!(value("KBNT_BOOTSTRAP_SERVERS").as_deref(), Some("kafka:9092"));
        assert_eq!(value("KBNT_TOPIC_PREFIX").as_deref(), Some("a-"));
        assert_eq!(value("KBNT_ALLOW_UNKNOWN_USERS").as_deref(), Some("false"));
        assert_eq!(value("KBNT_USERS_FILE"), None);
    }

    #[test]
    fn an_overlay_adds_and_takes_nothing_away() {
        let overlay = json!({
            "labels": {"team": "shop", "app.kubernetes.io/name": "stolen"}, "annotations": {"note": "x"},
            "image": "own:2", "env": [{"name": "A", "value": "b"}, {"name": "KBNT_HTTP_PORT", "value": "1"}],
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "spot", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
            "imagePullSecrets": [{"name": "pull"}], "priorityClassName": "high",
        });
        let (plain, made) = (workload(users("[]")), with(users("[]"), 2, overlay));
        assert_eq!(plain.deployment.spec.selector, made.deployment.spec.selector);
        let template = made.deployment.spec.template;
        let meta = template.metadata.unwrap();
        let labels = meta.labels.unwrap();
        assert_eq!((labels["team"].as_str(), labels["app.kubernetes.io/name"].as_str()), ("shop", "kbnt"));
        assert_eq!(meta.annotations.unwrap().len(), 2);
        let pod = template.spec.unwrap();
        let container = &pod.containers[0];
        assert_eq!(container.image.as_deref(), Some("own:2"));
        let plain = plain.deployment.spec.template.spec.unwrap().containers.remove(0);
        let (own, all) = (plain.env.unwrap(), container.env.clone().unwrap());
        assert!(all.starts_with(&own) && all.len() == own.len() + 1 && all[own.len()].name == "A");
        assert_eq!((&plain.security_context, &plain.ports), (&container.security_context, &container.ports));
        let spread = &pod.topology_spread_constraints.unwrap()[0];
        assert!(spread.topology_key == "rack" && spread.label_selector.is_some());
        assert!(pod.affinity.is_some() && pod.priority_class_name.as_deref() == Some("high"));
    }

    #[test]
    fn several_pods_have_a_budget_that_always_lets_one_go() {
        let budget = workload(Vec::new()).budget.unwrap().spec.unwrap();
        assert_eq!(budget.max_unavailable, Some(IntOrString::Int(1)));
        assert_eq!(budget.unhealthy_pod_eviction_policy.as_deref(), Some("AlwaysAllow"));
        assert_eq!(with(Vec::new(), 1, json!({})).budget, None);
    }

    #[test]
    fn what_scales_a_service_stays_within_its_bounds_and_owns_the_number() {
        let spec: Autoscaling = serde_json::from_value(json!({"maxReplicas": 3})).unwrap();
        let with = |keda| scaled(Vec::new(), 1, json!({}), Some(Scaling { spec: spec.clone(), keda }));
        let made = with(false);
        assert_eq!(made.deployment.spec.replicas, None);
        assert!(made.budget.is_some());
        let Some(Scaler::Processor(scaler)) = made.scaler else { panic!("{:?}", made.scaler) };
        assert_eq!((scaler.spec.min_replicas, scaler.spec.max_replicas), (Some(1), 3));
        assert_eq!(scaler.spec.scale_target_ref.name, "main-user-service");
        let Some(Scaler::Lag(scaler)) = with(true).scaler else { panic!("no ScaledObject") };
        assert_eq!(scaler.data["spec"]["maxReplicaCount"], 3);
        let trigger = &scaler.data["spec"]["triggers"][0]["metadata"];
        assert_eq!(trigger["consumerGroup"], "a-kbnt-user-service");
        assert_eq!((&trigger["topic"], &trigger["lagThreshold"]), (&json!("a-order-events"), &json!("100")));
    }

    #[test]
    fn other_users_make_new_pods() {
        let annotation = |made: Workload| made.deployment.spec.template.metadata.unwrap().annotations;
        let (one, same, other) = ["[1]", "[1]", "[2]"].map(|json| workload(users(json))).into();
        assert_eq!(one, same);
        assert_ne!(annotation(one), annotation(other));
    }
}
