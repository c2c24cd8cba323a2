//! The volume that is claimed for each pod of a service.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// CEL: how much room a volume may have.
pub(crate) const SIZE: &str = "type(self) == int ? self >= 67108864 : (isQuantity(self) && quantity(self).compareTo(quantity('64Mi')) >= 0)";
/// What [`SIZE`] asks for.
pub(crate) const SIZE_ADVICE: &str = "volumeClaim.size must be a quantity of at least 64Mi, such as 20Gi";
/// CEL: a name of a StorageClass, or none.
pub(crate) const CLASS: &str =
    "self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')";
/// What [`CLASS`] asks for.
pub(crate) const CLASS_ADVICE: &str = "volumeClaim.storageClassName must be the name of a StorageClass: lower case letters, digits, '-' and '.', beginning and ending with a letter or digit";

/// What is asked for in the PersistentVolumeClaim of each pod. A change replaces the pods, and so their volumes.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeClaim {
    /// How much room a volume has, such as `20Gi`.
    #[x_kube(validation = Rule::new(SIZE).message(SIZE_ADVICE))]
    #[schemars(schema_with = "quantity")]
    pub size: Quantity,
    /// StorageClass of the volumes. It should delete a volume with its claim (`reclaimPolicy: Delete`). The cluster's default
    /// class without it; no class if it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(CLASS).message(CLASS_ADVICE))]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// How a volume is mounted: ReadWriteOnce (by one node; the default) or ReadWriteOncePod (by one pod).
    #[serde(default = "read_write_once")]
    #[schemars(length(min = 1, max = 1))]
    pub access_modes: Vec<AccessMode>,
}

/// How the volume of a single pod is mounted. No other pod has any use for it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum AccessMode {
    /// By one node.
    ReadWriteOnce,
    /// By one pod.
    ReadWriteOncePod,
}

impl AccessMode {
    /// As in a PersistentVolumeClaim.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

fn read_write_once() -> Vec<AccessMode> {
    vec![AccessMode::ReadWriteOnce]
}

/// Replaces the derived schema, which would have a page about quantities.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true, "maxLength": 64})
}
