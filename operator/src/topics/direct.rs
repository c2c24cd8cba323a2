//! The Job that makes topics where Strimzi does not run Kafka, by `kbnt topics ensure`.
//!
//! The operator does not speak Kafka itself. A client in C that can hang a thread, its memory, and the keys
//! to the cluster of every tenant do not belong in the process that looks after all of them. A pod in the
//! tenant's own namespace mounts the same Secrets as the services there, and the operator needs no right to
//! read any.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::build::{Asked, Wanted};
use crate::error::Error;
use crate::kafka_cluster::Kafka;
use crate::kube::short_digest;
use crate::labels::labels;
use crate::owned::TOPICS_DIGEST;
use crate::ownership::Owner;
use crate::workloads::{self, Task, plain};

/// The container of its pods.
const CONTAINER: &str = "topics";
/// Where Kubernetes reads the termination message of a container.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Exit code of the program when another try would not help.
pub(super) const HOPELESS: i32 = 1;
/// Pods that may fail before the Job fails: with the pauses between them, about five minutes.
const BACKOFF_LIMIT: i32 = 4;
/// Seconds that the Job may take, even if its pods cannot start.
const DEADLINE: i64 = 600;
/// Seconds after which a Job that has ended is deleted. The next Job checks whether the topics still are as
/// they should be.
const TTL: i32 = 24 * 60 * 60;

/// Topics that a Job makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Direct {
    /// Names of the topics, with the prefix.
    pub(super) names: Vec<String>,
    /// Digest of these topics.
    pub(super) digest: String,
    /// The Kafka cluster.
    pub(super) kafka: Kafka,
    /// The Job. Its name changes with its content, because a Job cannot be changed.
    pub job: Job,
}

impl Direct {
    /// Name of the Job.
    pub(super) fn job_name(&self) -> String {
        self.job.name_any()
    }
}

pub(super) fn build(
    owner: &Owner,
    kafka: &Kafka,
    topics: &[Wanted],
    asked: Asked<'_>,
) -> Result<Direct, Error> {
    let wanted = topics.iter().map(description).collect::<Value>().to_string();
    let component = if owner.kind == "VirtualStock" { "stock-topics" } else { "order-topics" };
    let task = Task {
        component,
        container: CONTAINER,
        image: asked.image,
        kafka,
        template: asked.template,
        args: &["topics", "ensure", "--report-file", TERMINATION_LOG],
        env: vec![plain("KBNT_WANTED_TOPICS", &wanted)],
    };
    let spec = JobSpec {
        parallelism: Some(1),
        completions: Some(1),
        suspend: Some(false),
        backoff_limit: Some(BACKOFF_LIMIT),
        active_deadline_seconds: Some(DEADLINE),
        ttl_seconds_after_finished: Some(TTL),
        pod_failure_policy: Some(PodFailurePolicy { rules: rules() }),
        template: workloads::task(owner, task)?,
        ..JobSpec::default()
    };
    let mut fingerprint = short_digest(&format!("{} {}", owner.uid, serde_json::to_string(&spec)?));
    // The name of a Job becomes a label of its pods, and has at most 63 characters.
    fingerprint.truncate(8);
    let digest = short_digest(&wanted);
    Ok(Direct {
        names: topics.iter().map(|topic| topic.name.clone()).collect(),
        job: Job {
            metadata: ObjectMeta {
                name: Some(format!("{}-{component}-{fingerprint}", owner.name)),
                namespace: Some(owner.namespace.clone()),
                labels: Some(labels(&owner.name, component)),
                annotations: Some(BTreeMap::from([(TOPICS_DIGEST.to_owned(), digest.clone())])),
                owner_references: Some(vec![owner.reference(true)]),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
            status: None,
        },
        digest,
        kafka: kafka.clone(),
    })
}

/// The description of a topic that the program reads.
fn description(topic: &Wanted) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let configs: BTreeMap<_, _> = topic.spec.config.iter().map(|(key, value)| (key, text(value))).collect();
    json!({
        "name": topic.name,
        "partitions": topic.spec.partitions,
        "replicas": topic.spec.replicas,
        "configs": configs,
    })
}

/// A pod that was evicted does not count as a failure, and a pod without hope ends the Job.
fn rules() -> Vec<PodFailurePolicyRule> {
    vec![
        PodFailurePolicyRule {
            action: "Ignore".into(),
            on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                type_: "DisruptionTarget".into(),
                status: Some("True".into()),
            }]),
            on_exit_codes: None,
        },
        PodFailurePolicyRule {
            action: "FailJob".into(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: Some(CONTAINER.into()),
                operator: "In".into(),
                values: vec![HOPELESS],
            }),
            on_pod_conditions: None,
        },
    ]
}

#[cfg(test)]
pub(super) mod tests {
    use kbnt_crds::common::{TopicDeletionPolicy, TopicSettings};
    use kbnt_crds::pod::PodTemplate;

    use super::super::{OF_STOCK, OF_WORKFLOW, Topic, Topics};
    use super::*;
    use crate::kafka_cluster::{Login, Trust};

    fn owner(kind: &str, name: &str) -> Owner {
        Owner { kind: kind.into(), namespace: "shop".into(), name: name.into(), uid: "u1".into() }
    }

    fn kafka() -> Kafka {
        Kafka {
            bootstrap: "kafka.example:9093".into(),
            prefix: "a-".into(),
            replicas: 2,
            place: None,
            trust: Some(Trust::Secret("ca".into())),
            login: Login::Scram { username: "shop".into(), secret: "shop".into() },
            users: None,
        }
    }

    pub(in super::super) fn made(
        owner: &Owner,
        topics: &[Topic],
        change: impl FnOnce(&mut Kafka, &mut Vec<TopicSettings>, &mut PodTemplate),
    ) -> Direct {
        let (mut kafka, mut settings, mut template) = (kafka(), Vec::new(), PodTemplate::default());
        change(&mut kafka, &mut settings, &mut template);
        let asked = Asked {
            topics,
            settings: &settings,
            policy: TopicDeletionPolicy::Retain,
            image: "services:1",
            template: &template,
        };
        match super::super::build(owner, &kafka, asked).unwrap() {
            Topics::Direct(direct) => *direct,
            Topics::Strimzi(topics) => panic!("{topics:?}"),
        }
    }

    #[test]
    fn the_program_is_told_of_the_documented_topics_and_how_to_get_at_kafka() {
        let made = made(&owner("OrderWorkflow", "main"), &OF_WORKFLOW, |_, _, _| {});
        let pod = made.job.spec.unwrap().template.spec.unwrap();
        let container = &pod.containers[0];
        let value = |name: &str| {
            let found = container.env.as_ref().unwrap().iter().find(|variable| variable.name == name);
            found.and_then(|variable| variable.value.clone()).unwrap_or_default()
        };
        assert_eq!(value("KBNT_BOOTSTRAP_SERVERS"), "kafka.example:9093");
        assert_eq!(value("KBNT_KAFKA_SECURITY_PROTOCOL"), "sasl_ssl");
        assert_eq!(value("KBNT_KAFKA_PASSWORD_FILE"), "/etc/kbnt/kafka-user/password");
        assert_eq!(pod.volumes.unwrap().len(), 2);
        let wanted: Value = serde_json::from_str(&value("KBNT_WANTED_TOPICS")).unwrap();
        assert_eq!(wanted.as_array().unwrap().len(), 6);
        let day = 86_400_000_i64;
        assert_eq!(
            wanted[3],
            json!({"name": "a-notification-events", "partitions": 3, "replicas": 2, "configs": {
                "cleanup.policy": "delete", "retention.ms": (7 * day).to_string(), "min.insync.replicas": "1"}})
        );
        assert_eq!(made.names[0], "a-user-events");
    }

    #[test]
    fn the_pods_are_what_restricted_pod_security_wants_and_end_once_they_are_done() {
        let template = made(&owner("VirtualStock", "main"), &OF_STOCK, |_, _, given| {
            given.labels.insert("team".into(), "shop".into());
            given.node_selector.insert("disk".into(), "ssd".into());
        });
        let template = template.job.spec.unwrap().template;
        let labels = template.metadata.unwrap().labels.unwrap();
        assert_eq!(labels["app.kubernetes.io/component"], "stock-topics");
        assert_eq!(labels["team"], "shop");
        let pod = template.spec.unwrap();
        assert_eq!(pod.restart_policy.as_deref(), Some("Never"));
        assert_eq!(pod.automount_service_account_token, Some(false));
        assert_eq!(pod.security_context.unwrap().run_as_non_root, Some(true));
        assert_eq!(pod.node_selector.unwrap()["disk"], "ssd");
        let container = &pod.containers[0];
        assert_eq!(container.image.as_deref(), Some("services:1"));
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.read_only_root_filesystem, Some(true));
        assert_eq!(security.capabilities.as_ref().unwrap().drop.as_ref().unwrap(), &["ALL"]);
        assert!(container.ports.is_none() && container.liveness_probe.is_none());
    }

    #[test]
    fn another_wish_is_another_job_and_the_same_one_is_not() {
        let stock = owner("VirtualStock", "main");
        let first = made(&stock, &OF_STOCK, |_, _, _| {});
        assert_eq!(first, made(&stock, &OF_STOCK, |_, _, _| {}));
        let name = |made: &Direct| made.job.metadata.name.clone().unwrap();
        let setting = TopicSettings {
            name: "inventory-events".into(),
            min_in_sync_replicas: Some(2),
            ..TopicSettings::default()
        };
        let settings = made(&stock, &OF_STOCK, |_, settings, _| settings.push(setting));
        assert!(name(&settings) != name(&first) && settings.digest != first.digest);
        // Another way to the same topics: the earlier report still holds.
        let login = made(&stock, &OF_STOCK, |kafka, _, _| kafka.login = Login::None);
        assert!(name(&login) != name(&first) && login.digest == first.digest);
        // Another resource of the same name.
        let again = made(&Owner { uid: "u2".into(), ..stock }, &OF_STOCK, |_, _, _| {});
        assert_ne!(name(&again), name(&first));
        let long = made(&owner("OrderWorkflow", &"n".repeat(40)), &OF_WORKFLOW, |_, _, _| {});
        assert!(name(&long).len() <= 63, "{}", name(&long));
    }
}
