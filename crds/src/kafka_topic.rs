//! Strimzi's `KafkaTopic`, as much of it as the operator reads and writes.
//!
//! Strimzi 1.x serves `v1` alone and older releases serve `v1beta2`, with the same fields. So the version is
//! part of the dynamic type: `Api::namespaced_with(client, namespace, &KafkaTopic::resource("v1"))`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::TypeMeta;
use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};

/// API group of Strimzi's resources.
pub const GROUP: &str = "kafka.strimzi.io";
/// Versions that hold the fields used here, the preferred one first.
pub const VERSIONS: [&str; 2] = ["v1", "v1beta2"];
/// Label that names the Kafka cluster of a topic.
pub const CLUSTER_LABEL: &str = "strimzi.io/cluster";
/// Annotation that makes Strimzi leave a topic alone, with the value `false`.
pub const MANAGED_ANNOTATION: &str = "strimzi.io/managed";

/// A Kafka topic, declared to Strimzi.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct KafkaTopic {
    /// API version and kind.
    #[serde(flatten, default)]
    pub types: Option<TypeMeta>,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: KafkaTopicSpec,
    /// What Strimzi saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<KafkaTopicStatus>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicSpec {
    /// Name in Kafka. The name of the object without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// Number of partitions. The broker's default without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// Copies of each partition. The broker's default without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Topic configuration. Values are text, numbers or booleans.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, serde_json::Value>,
}

/// What Strimzi saw.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicStatus {
    /// Generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Unmanaged, ReconciliationPaused and others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<KafkaTopicCondition>,
    /// Name in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_name: Option<String>,
    /// Id in Kafka, another one when the topic was deleted and made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
}

/// A condition as Strimzi writes it: every field may be absent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTopicCondition {
    /// Which condition.
    #[serde(rename = "type", default)]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    #[serde(default)]
    pub status: String,
    /// One word in camel case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<String>,
}

impl KafkaTopic {
    /// The dynamic type for a served API version, such as `v1`.
    pub fn resource(version: &str) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, version, "KafkaTopic"), "kafkatopics")
    }

    /// The first condition of this type.
    pub fn condition(&self, type_: &str) -> Option<&KafkaTopicCondition> {
        self.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
    }
}

crate::strimzi::resource!(KafkaTopic);
