//! What users may add to the pods of a service.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// CEL: KBNT_LOG is either a single level, or a text with a comma, `=`, `[` or another variable in it.
const LOG: &str = "self.all(variable, variable.name != 'KBNT_LOG' || !has(variable.value) || variable.value in ['off', 'OFF', 'Off', 'error', 'ERROR', 'Error', 'warn', 'WARN', 'Warn', 'warning', 'WARNING', 'Warning', 'info', 'INFO', 'Info', 'debug', 'DEBUG', 'Debug', 'trace', 'TRACE', 'Trace', '0', '1', '2', '3', '4', '5', ''] || variable.value.contains('=') || variable.value.contains(',') || variable.value.contains('$('))";

/// What the pods of a service get beyond what the operator gives them. It cannot touch what the service needs: its
/// command, ports, probes, security context and own variables.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Further labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('kbnt.dev/'))")
        .message("labels that begin with app.kubernetes.io/ or kbnt.dev/ are the operator's, which finds the pods by them: use other names"))]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,
    /// Further annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('kbnt.dev/'))")
        .message("annotations that begin with kbnt.dev/ are the operator's: use other names"))]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
    /// Image instead of that of the operator's chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// When the image is pulled. IfNotPresent without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Secrets for pulling the image, in the namespace of the resource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalRef>,
    /// Further environment variables, such as KBNT_LOG or those of a proxy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new("self.all(variable, !variable.name.startsWith('KBNT_') || variable.name in ['KBNT_LOG', 'KBNT_LOG_FORMAT'])")
        .message("variables that begin with KBNT_ are the operator's, apart from KBNT_LOG and KBNT_LOG_FORMAT: the fields of the resource set them"))]
    // Checks what is cheap to check; the operator checks the rest.
    #[x_kube(validation = Rule::new(LOG).message(kbnt_rules::LOG_FILTER_ADVICE))]
    #[x_kube(validation = Rule::new("self.all(variable, variable.name != 'KBNT_LOG_FORMAT' || !has(variable.value) || variable.value in ['', 'auto', 'json', 'text'])")
        .message(kbnt_rules::LOG_FORMAT_ADVICE))]
    #[x_kube(validation = Rule::new("self.all(variable, variable.name != 'OTEL_EXPORTER_OTLP_ENDPOINT' || !has(variable.value) || variable.value == '' || variable.value.startsWith('http://') || variable.value.startsWith('https://') || variable.value.startsWith('$('))")
        .message("OTEL_EXPORTER_OTLP_ENDPOINT must be an absolute URL that starts with http:// or https://, such as http://collector:4318"))]
    #[schemars(length(max = 64))]
    pub env: Vec<Variable>,
    /// Labels of the nodes where the pods may run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that do not keep the pods away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Where pods want to run, as `kubectl explain pod.spec.affinity` says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "anything")]
    pub affinity: Map<String, Value>,
    /// How pods are spread, as `kubectl explain pod.spec.topologySpreadConstraints` says, instead of evenly over nodes
    /// and zones as far as that can be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "list_of_anything")]
    pub topology_spread_constraints: Vec<Map<String, Value>>,
    /// Which pods go before others where room is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

impl PodTemplate {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum ImagePullPolicy {
    /// For every new pod.
    Always,
    /// Where a node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

impl ImagePullPolicy {
    /// As in a pod.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// An object in the namespace of the resource.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LocalRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// An environment variable: a value, or where it comes from.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub value: Option<String>,
    /// Where its value comes from, as `kubectl explain pod.spec.containers.env.valueFrom` says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "anything")]
    pub value_from: Map<String, Value>,
}

/// Taints of nodes that do not keep pods away.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Toleration {
    /// Key of the taint. Any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `Exists` or `Equal` (the default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Value of the taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`. Any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// How long a pod stays where the effect is NoExecute, in seconds. For ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// Kubernetes itself defines and checks these fields: their schema would take a thousand lines in each place.
fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn list_of_anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 16, "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}})
}
