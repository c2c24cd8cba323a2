//! Types that both resources share.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::pod::{LocalRef, PodTemplate};

/// What happens to Kafka topics (and so to the events in them) when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum TopicDeletionPolicy {
    /// The topics stay, and are taken up again by a resource of the same kind, namespace and name.
    #[default]
    Retain,
    /// The topics are deleted, and all events in them are lost.
    Delete,
}

/// Settings of one topic that differ from the documented defaults.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.replicas) || !has(self.minInSyncReplicas) || self.minInSyncReplicas <= self.replicas")
    .message("minInSyncReplicas cannot be above replicas, or nothing could be written"))]
pub struct TopicSettings {
    /// Name of the topic without the prefix.
    pub name: String,
    /// How long records are kept: a duration such as `168h` or `30m`, or `unlimited`. The event stores (user-events,
    /// order-events, payment-events, inventory-events) keep them for ever, and take nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(
        "self == 'unlimited' || (self != '' && self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') \
         && duration(self) >= duration('1m'))"
    ).message("retention must be 'unlimited' or a duration of at least 1m, such as 168h or 30m"))]
    #[schemars(length(max = 24))]
    pub retention: Option<String>,
    /// Copies of each partition. Defaults to `topicReplicas` of the VirtualStock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub replicas: Option<i32>,
    /// Copies that must have a record before it counts as written. Defaults to one less than the copies, at
    /// least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 15))]
    pub min_in_sync_replicas: Option<i32>,
}

/// How one service runs: up to 3 replicas, as many as its topics have partitions.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.autoscaling) || self.autoscaling.maxReplicas >= self.replicas")
    .message("autoscaling.maxReplicas cannot be below replicas, which is the least number of pods"))]
pub struct ServiceSpec {
    /// Pods to run. More than 3 would stand idle, as the topics have 3 partitions.
    #[serde(default = "one")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 3")
        .message("replicas must be 1 to 3: the topics that the service reads have 3 partitions, so more pods would stand idle"))]
    pub replicas: i32,
    /// Compute resources of each pod. What is absent has a default: requests of 25m CPU and 48Mi memory, a limit
    /// of 256Mi memory and none on CPU.
    #[serde(default)]
    pub resources: Resources,
    /// What the pods get beyond what the operator gives them: labels, annotations, image, variables, where they run.
    #[serde(default, skip_serializing_if = "PodTemplate::is_empty")]
    pub pod_template: PodTemplate,
    /// Whether a pod whose container crashed takes up its partitions again at once, instead of after the 10 s in which the
    /// group misses it. What it costs: a pod that stops does not tell the group, so another one takes over after 10 s, in
    /// updates, too.
    #[serde(default)]
    pub static_membership: bool,
    /// Run more pods while there is much to do. The number is fixed without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
}

/// How many pods run while there is much to do: `replicas` of the service are the least. By the records that wait, where
/// KEDA is installed, and else by the use of the processor.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// The most pods. More than 3 would stand idle, as the topics have 3 partitions.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 3")
        .message("maxReplicas must be 1 to 3: the topics that the service reads have 3 partitions, so more pods would stand idle"))]
    pub max_replicas: i32,
    /// With KEDA: records that may wait for each pod.
    #[serde(default = "hundred")]
    #[schemars(range(min = 1))]
    pub lag: i64,
    /// With KEDA: a TriggerAuthentication in the namespace of the resource by which it gets at Kafka, where that takes TLS
    /// or a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_authentication: Option<LocalRef>,
    /// Without KEDA: how much of the requested CPU may be in use, in percent.
    #[serde(default = "eighty")]
    #[schemars(range(min = 1, max = 1000))]
    pub cpu: i32,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            replicas: one(),
            resources: Resources::default(),
            pod_template: PodTemplate::default(),
            static_membership: false,
            autoscaling: None,
        }
    }
}

/// How a service runs whose topic has one partition.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SingleServiceSpec {
    /// Pods to run: 1, as the topic has 1 partition.
    #[serde(default = "one")]
    #[x_kube(validation = Rule::new("self == 1")
        .message("replicas must be 1: the audit-logs topic has 1 partition, so a second pod would stand idle"))]
    pub replicas: i32,
    /// Compute resources of the pod. What is absent has a default: requests of 25m CPU and 48Mi memory, a limit
    /// of 256Mi memory and none on CPU.
    #[serde(default)]
    pub resources: Resources,
    /// What the pods get beyond what the operator gives them: labels, annotations, image, variables, where they run.
    #[serde(default, skip_serializing_if = "PodTemplate::is_empty")]
    pub pod_template: PodTemplate,
    /// Whether a pod whose container crashed takes up its partitions again at once, instead of after the 10 s in which the
    /// group misses it. What it costs: a pod that stops does not tell the group, so another one takes over after 10 s, in
    /// updates, too.
    #[serde(default)]
    pub static_membership: bool,
}

impl Default for SingleServiceSpec {
    fn default() -> Self {
        Self {
            replicas: one(),
            resources: Resources::default(),
            pod_template: PodTemplate::default(),
            static_membership: false,
        }
    }
}

impl From<SingleServiceSpec> for ServiceSpec {
    fn from(single: SingleServiceSpec) -> Self {
        let SingleServiceSpec { replicas, resources, pod_template, static_membership } = single;
        Self { replicas, resources, pod_template, static_membership, autoscaling: None }
    }
}

/// CEL: every value is a quantity, and none is negative.
const QUANTITIES: &str = "self.all(name, type(self[name]) == int ? self[name] >= 0 : \
                          (isQuantity(self[name]) && !quantity(self[name]).isLessThan(quantity('0'))))";

/// Compute resources, as in a container: `requests` and `limits` by resource name.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct Resources {
    /// What is set aside, such as `cpu: 25m` or `memory: 48Mi`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new(QUANTITIES)
        .message("resources must be quantities such as 25m, 0.5, 48Mi or 1e9, and not negative"))]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded, such as `memory: 256Mi`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new(QUANTITIES)
        .message("resources must be quantities such as 25m, 0.5, 48Mi or 1e9, and not negative"))]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

/// A key of a Secret in the namespace of the resource.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[serde(default = "secret")]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')")
        .message("secretRef.key must be a key that a Secret can have and a file be called: letters, digits, '-', '_' and '.', neither '.' nor beginning with '..'"))]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// No settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Empty {}

/// One topic as last seen.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicState {
    /// Name of the topic, prefix and all.
    pub name: String,
    /// Whether it can be used.
    pub ready: bool,
    /// Id in Kafka of the topic that holds the records which this resource knows. A topic of the same name with another id
    /// is another topic, and is used only once the annotation `kbnt.dev/adopt-topics` names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// Id of the topic that it was before the last adoption, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// One service as last seen.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ServiceState {
    /// Name of its Deployment and Service.
    pub name: String,
    /// Pods asked for.
    pub desired: i32,
    /// Pods that can be used.
    pub ready: i32,
}

fn hundred() -> i64 {
    100
}

fn eighty() -> i32 {
    80
}

pub(crate) fn one() -> i32 {
    1
}

/// Replaces the derived schema, which would have two pages about quantities in each place.
fn quantities(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 16, "additionalProperties": {"x-kubernetes-int-or-string": true, "maxLength": 64}})
}

fn secret() -> String {
    "secret".into()
}
