//! The read model of order-service: where the history of orders lies, and for how long.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::volume_claim::VolumeClaim;

/// A read model of all orders. Each pod of order-service builds one of its own from the log.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadModelSpec {
    /// The volume of each pod. It is made and deleted with its pod, as everything on it is built from the log. An order takes
    /// some 650 bytes.
    pub volume_claim: VolumeClaim,
    /// How long an order that has ended is kept after it was placed: a duration from 24h to 876000h, such as `8760h`. For ever
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(
        "self != '' && self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') \
         && duration(self) >= duration('24h') && duration(self) <= duration('876000h')"
    ).message("readModel.retention must be a duration from 24h to 876000h, such as 8760h for a year: order-service shows an order for 24h after its end anyway"))]
    #[schemars(length(max = 24))]
    pub retention: Option<String>,
}
