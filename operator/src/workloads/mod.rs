//! The workloads of the services: how they run, and whether they are available.

mod apply;
mod build;
mod checkpoints;
mod closed_orders;
mod data_dir;
mod history;
mod kafka_access;
mod overlay;
mod pod;
mod scale;
mod snapshots;
mod standby;
mod state;
mod task;
mod volume;

pub use crate::owned::scaled_objects;
pub use apply::{apply, exists, look, rolled_out};
pub use build::{Plan, Workload, build};
pub use checkpoints::Checkpoints;
pub use closed_orders::window as closed_order_window;
pub use history::database as history_database;
pub use overlay::check;
pub use pod::{File, Source, from_field, plain};
pub use scale::{Scaler, Scaling};
pub use standby::{Standby, in_turn};
pub use state::{State, View, finding, states};
pub use task::{Task, task};

/// Port of every service.
pub const PORT: i32 = 8080;
/// The port of the kubelet's probes. No Service routes to it, so clients cannot exhaust it.
const PROBE_PORT: i32 = 8081;

/// The six services.
#[cfg(test)]
pub(crate) const ALL_ROLES: [Role; 6] =
    [Role::Inventory, Role::User, Role::Payment, Role::Order, Role::Notification, Role::Audit];

/// One of the six services.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// inventory-service: keeps the ledger.
    Inventory,
    /// user-service: validates users.
    User,
    /// payment-service: takes payments.
    Payment,
    /// order-service: drives orders.
    Order,
    /// notification-service: notifies customers.
    Notification,
    /// audit-service: writes the audit trail.
    Audit,
}

impl Role {
    /// Its name on the command line of `kbnt`.
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

    /// Its full name, such as `order-service`.
    pub fn component(self) -> String {
        format!("{}-service", self.argument())
    }

    /// Name of its objects for a resource of this name.
    pub fn object_name(self, resource: &str) -> String {
        format!("{resource}-{}", self.component())
    }
}
