//! Strimzi's `KafkaUser`, as much of it as the operator reads and writes. Its versions are those of `KafkaTopic`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::TypeMeta;
use kube::core::{ApiResource, GroupVersionKind};
use serde::{Deserialize, Serialize};

use crate::kafka_topic::{GROUP, KafkaTopicCondition};
use crate::virtual_stock::UserAuthentication;

/// A user of a Kafka cluster and its rights there, declared to Strimzi.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct KafkaUser {
    /// API version and kind.
    #[serde(flatten, default)]
    pub types: Option<TypeMeta>,
    /// Metadata.
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(default)]
    pub spec: KafkaUserSpec,
    /// What Strimzi saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<KafkaUserStatus>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct KafkaUserSpec {
    /// How the user logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// What it may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// What is written on the objects that Strimzi makes for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

/// How a user logs in.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Authentication {
    /// By what.
    #[serde(rename = "type")]
    pub type_: UserAuthentication,
}

/// What a user may do.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Authorization {
    /// `simple`: by access lists of Kafka.
    #[serde(rename = "type")]
    pub type_: String,
    /// What is allowed; nothing else is.
    #[serde(default)]
    pub acls: Vec<Acl>,
}

/// An entry of an access list.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Acl {
    /// With what.
    pub resource: AclResource,
    /// Which operations, such as `Read` and `Write`.
    pub operations: Vec<String>,
}

/// What an entry of an access list is about.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AclResource {
    /// `topic` or `group`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Its name.
    pub name: String,
    /// `literal` for this name alone.
    pub pattern_type: String,
}

/// What is written on the objects that Strimzi makes for a user.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Template {
    /// On its Secret.
    pub secret: ObjectTemplate,
}

/// What is written on an object.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct ObjectTemplate {
    /// Labels and annotations.
    pub metadata: MetadataTemplate,
}

/// Labels and annotations.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct MetadataTemplate {
    /// Labels besides Strimzi's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations besides Strimzi's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What Strimzi saw.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaUserStatus {
    /// Generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, ReconciliationPaused and others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<KafkaTopicCondition>,
    /// Name in Kafka.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The Secret with what it logs in with, in the namespace of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl KafkaUser {
    /// The dynamic type for a served API version, such as `v1`.
    pub fn resource(version: &str) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, version, "KafkaUser"), "kafkausers")
    }
}

crate::strimzi::resource!(KafkaUser);
