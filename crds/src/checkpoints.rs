//! Where services keep checkpoints: their state as of a position in the log, in a place that outlives pods.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::pod::LocalRef;

/// How often, and where.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    pub object_store: ObjectStore,
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

fn five_minutes() -> String {
    "5m".into()
}
