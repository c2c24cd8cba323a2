//! What inventory-service remembers of orders that have ended: for how long, and where.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::volume_claim::VolumeClaim;

/// How inventory-service remembers orders that have ended.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClosedOrdersSpec {
    /// For how long, by the time of the log: a duration from 24h to 8760h. Within it a request that is repeated gets the answer
    /// of the first one; a command that is older is refused.
    #[serde(default = "week")]
    #[x_kube(validation = Rule::new(
        "self != '' && self.matches('^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') \
         && duration(self) >= duration('24h') && duration(self) <= duration('8760h')"
    ).message("closedOrders.window must be a duration from 24h to 8760h, such as 168h for a week: other services count on 24h"))]
    #[schemars(length(max = 18))]
    pub window: String,
    /// The volume of each pod. It is made and deleted with its pod, as everything on it is built from the log. Allow 200 bytes for
    /// each order of the window. Without it each pod has 8Gi of its node's disk, and is evicted if it needs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(
        "type(self.size) == int ? self.size >= 268435456 : (!isQuantity(self.size) || quantity(self.size).compareTo(quantity('256Mi')) >= 0)"
    ).message("closedOrders.volumeClaim.size must be at least 256Mi: the archive takes 64Mi besides the orders, and twice as much while it begins anew"))]
    pub volume_claim: Option<VolumeClaim>,
}

impl Default for ClosedOrdersSpec {
    fn default() -> Self {
        Self { window: week(), volume_claim: None }
    }
}

fn week() -> String {
    "168h".into()
}
