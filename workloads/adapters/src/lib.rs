//! Adapters to the outside world: payment, notification, leases, snapshots, history, closed orders, objects, backup, checkpoints,
//! clocks, logging, metrics, spans.

pub mod address;
pub mod backup;
pub mod checkpoints;
pub mod clock;
pub mod closed_orders;
pub mod history;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod notification;
pub mod objects;
pub mod outbound;
pub mod payment;
pub mod snapshots;
pub mod spans;
