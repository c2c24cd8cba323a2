//! The read model of order-service: where the history of orders lies, and for how long.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::common::SecretRef;
use crate::volume_claim::VolumeClaim;

/// A read model of all orders, built from the log: exactly one of volumeClaim and postgres.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.volumeClaim) != has(self.postgres)")
    .message("give exactly one of readModel.volumeClaim and readModel.postgres"))]
pub struct ReadModelSpec {
    /// The volume of each pod, for a read model of its own. It is made and deleted with its pod. An order takes some 650 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim: Option<VolumeClaim>,
    /// A database that all pods share, and that outlives them. An order takes some 800 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
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

/// A PostgreSQL database, version 14 or newer.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Postgres {
    /// Its URL, such as `postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full`. Pods read it again for each connection.
    pub secret_ref: SecretRef,
}
