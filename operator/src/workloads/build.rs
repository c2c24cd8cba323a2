//! Deployment, Service, ServiceAccount and ConfigMap of a service as they should be.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{ConfigMap, EnvVar, Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kbnt_crds::common::Resources;
use kube::Resource;
use serde::Serialize;

use super::pod::{self, File, Source};
use super::{MANAGED_BY, PORT, Role, labels};
use crate::cluster::Wanted;
use crate::error::Error;
use crate::topics::{Kafka, Owner};

/// What decides how a service runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which service.
    pub role: Role,
    /// Image of all services.
    pub image: String,
    /// Where Kafka is.
    pub kafka: Kafka,
    /// Pods.
    pub replicas: i32,
    /// Of each pod.
    pub resources: Resources,
    /// Variables beyond those that every service has.
    pub env: Vec<EnvVar>,
    /// Files that it reads.
    pub files: Vec<File>,
}

impl Plan {
    /// Name of the ConfigMap of the declared users and what is in it, for the service that reads them.
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
    /// Its identity, which has no rights.
    pub account: ServiceAccount,
    /// Its address.
    pub service: Service,
    /// Its settings, where it has any.
    pub config: Option<ConfigMap>,
    /// Its pods.
    pub deployment: Deployment,
}

impl Workload {
    /// The object of this kind and name, if it is one of these.
    pub fn find(&self, kind: &str, name: &str) -> Option<Result<Wanted, Error>> {
        fn of<K: Resource<DynamicType = ()> + Serialize>(
            object: &K,
            name: &str,
        ) -> Option<Result<Wanted, Error>> {
            (object.meta().name.as_deref() == Some(name)).then(|| Wanted::of(object))
        }
        match kind {
            "ServiceAccount" => of(&self.account, name),
            "Service" => of(&self.service, name),
            "ConfigMap" => of(self.config.as_ref()?, name),
            "Deployment" => of(&self.deployment, name),
            _ => None,
        }
    }
}

/// The objects of the service that `plan` describes.
pub fn build(owner: &Owner, plan: &Plan) -> Workload {
    let name = plan.role.object_name(&owner.name);
    let component = plan.role.component();
    let metadata = |name: &str| ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(owner.namespace.clone()),
        labels: Some(labels(&owner.name, &component)),
        owner_references: Some(vec![owner.reference(true)]),
        ..ObjectMeta::default()
    };
    // A Deployment's selector can never change, so it has what identifies a service and nothing else.
    let mut selector = labels(&owner.name, &component);
    selector.remove(MANAGED_BY.0);
    Workload {
        account: ServiceAccount {
            metadata: metadata(&name),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
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
                replicas: Some(plan.replicas),
                selector: LabelSelector { match_labels: Some(selector), match_expressions: None },
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
                template: pod::template(plan, &owner.name),
                ..DeploymentSpec::default()
            },
            status: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(files: Vec<File>) -> Workload {
        let owner = Owner {
            kind: "OrderWorkflow".into(),
            namespace: "shop".into(),
            name: "main".into(),
            uid: "u1".into(),
        };
        let plan = Plan {
            role: Role::User,
            image: "services:1".into(),
            kafka: Kafka { bootstrap: "kafka:9092".into(), prefix: "a-".into(), place: None },
            replicas: 2,
            resources: Resources::default(),
            env: vec![pod::plain("KBNT_ALLOW_UNKNOWN_USERS", "false")],
            files,
        };
        build(&owner, &plan)
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
    fn other_users_make_new_pods() {
        let annotation = |made: Workload| made.deployment.spec.template.metadata.unwrap().annotations;
        let (one, same, other) = ["[1]", "[1]", "[2]"].map(|json| workload(users(json))).into();
        assert_eq!(one, same);
        assert_ne!(annotation(one), annotation(other));
    }
}
