//! The services: what they run and how they fare.

mod apply;
mod build;
mod kafka;
mod overlay;
mod pod;
mod scale;
mod snapshots;
mod standby;
mod state;
mod task;

use std::collections::BTreeMap;

pub use apply::{apply, exists, look, rolled_out};
pub use build::{Plan, Workload, build};
pub use overlay::check;
pub use pod::{File, Source, from_field, plain};
pub use scale::{KEDA, Scaler, Scaling, scaled_objects};
pub use standby::{Standby, in_turn};
pub use state::{DeploymentNote, State, View, finding, states};
pub use task::{Task, task};

/// Port of every service.
pub const PORT: i32 = 8080;
/// The port on which the kubelet asks the services how they are: no Service leads there, so no client can use it up.
const PROBE_PORT: i32 = 8081;
/// Label by which the operator finds its objects.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kbnt-operator");

/// The six services.
#[cfg(test)]
pub(crate) const ALL_ROLES: [Role; 6] =
    [Role::Inventory, Role::User, Role::Payment, Role::Order, Role::Notification, Role::Audit];

/// One of the six services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Keeps the ledger.
    Inventory,
    /// Validates users.
    User,
    /// Takes payments.
    Payment,
    /// Drives orders.
    Order,
    /// Tells customers.
    Notification,
    /// Writes the audit trail.
    Audit,
}

impl Role {
    /// As the `kbnt` program calls it.
    pub fn argument(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::User => "user",
            Self::Payment => "payment",
            Self::Order => "order",
            Self::Notification => "notification",
            Self::Audit => "audit",
        }
    }

    /// As people call it, such as `order-service`.
    pub fn component(self) -> String {
        format!("{}-service", self.argument())
    }

    /// Name of its objects where the resource has this name.
    pub fn object_name(self, resource: &str) -> String {
        format!("{resource}-{}", self.component())
    }
}

/// The labels by which the pods of a service are found: what identifies it and nothing else, as a Deployment's selector can
/// never change.
pub fn selector(resource: &str, component: &str) -> BTreeMap<String, String> {
    let mut selector = labels(resource, component);
    selector.remove(MANAGED_BY.0);
    selector
}

/// The labels of an object of a resource.
pub fn labels(resource: &str, component: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "kbnt"),
        ("app.kubernetes.io/instance", resource),
        ("app.kubernetes.io/component", component),
        MANAGED_BY,
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
