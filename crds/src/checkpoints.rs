//! Where services keep checkpoints: their state as of a position in the log, in a place that outlives pods.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pod::LocalRef;
use crate::volume_claim::{CLASS, CLASS_ADVICE, SIZE, SIZE_ADVICE, quantity};

/// How often, and where: exactly one of objectStore and volumeClaim.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.objectStore) != has(self.volumeClaim)")
    .message("give exactly one of checkpoints.objectStore and checkpoints.volumeClaim"))]
pub struct CheckpointsSpec {
    /// The least time between two checkpoints of a service: a duration from 10s to 24h, such as `5m`.
    #[serde(default = "five_minutes")]
    #[x_kube(validation = Rule::new(
        "self != '' && self.matches('^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') \
         && duration(self) >= duration('10s') && duration(self) <= duration('24h')"
    ).message("checkpoints.interval must be a duration from 10s to 24h, such as 5m"))]
    #[schemars(length(max = 18))]
    pub interval: String,
    /// A bucket, which pods reach from every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,
    /// One volume for all services of this resource that keep checkpoints. It outlives their pods, and is deleted with this
    /// resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<SharedVolumeClaim>,
}

/// A part of a bucket of Amazon S3, or of another store with its interface.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStore {
    /// Which part of which bucket: `s3://BUCKET/PREFIX`. Each service has a folder of its own there, so a stock and its workflow
    /// may name the same place; two stocks may not.
    #[x_kube(validation = Rule::new(kbnt_rules::BUCKET_URL).message(kbnt_rules::BUCKET_URL_ADVICE))]
    #[schemars(length(max = 582))]
    pub url: String,
    /// Secret in the namespace of this resource with any of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION,
    /// AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL and AWS_ALLOW_HTTP. Pods get these keys and no others. Without it they
    /// have what the cluster gives their ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
}

/// What is asked for in the PersistentVolumeClaim that the pods share.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.storageClassName) == has(oldSelf.storageClassName) \
     && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName) && self.accessMode == oldSelf.accessMode"
).message("storageClassName and accessMode of checkpoints.volumeClaim cannot be changed, as a claim cannot: take volumeClaim out, delete the claim, and ask for another one"))]
pub struct SharedVolumeClaim {
    /// How much room the volume has, such as `10Gi`. It can grow where its StorageClass allows that, and cannot shrink.
    #[x_kube(validation = Rule::new(SIZE).message(SIZE_ADVICE))]
    #[x_kube(validation = Rule::new(
        "!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0"
    ).message("checkpoints.volumeClaim.size cannot be lowered, as a claim cannot shrink: take volumeClaim out, delete the claim, and ask for another one"))]
    #[schemars(schema_with = "quantity")]
    pub size: Quantity,
    /// StorageClass of the volume. The cluster's default class without it; no class if it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(CLASS).message(CLASS_ADVICE))]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// How the volume is mounted: ReadWriteOnce (by one node; the default) or ReadWriteMany (by any number of nodes). With
    /// ReadWriteOnce all pods that share it must run on the same node.
    #[serde(default)]
    pub access_mode: SharedAccessMode,
}

/// How a volume is mounted that several pods share.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum SharedAccessMode {
    /// By one node.
    #[default]
    ReadWriteOnce,
    /// By any number of nodes.
    ReadWriteMany,
}

impl SharedAccessMode {
    /// As in a PersistentVolumeClaim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteMany => "ReadWriteMany",
        }
    }
}

fn five_minutes() -> String {
    "5m".into()
}
