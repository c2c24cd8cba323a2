//! Adapters: Kafka, embedded log, HTTP, payment, notification, metrics, logging.

pub mod address;
pub mod clock;
pub mod embedded;
pub mod http;
pub mod intact;
pub mod kafka;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod notification;
pub mod outbound;
pub mod payment;
pub mod raw;
pub mod runtime;
pub mod snapshots;
pub mod spans;
pub mod text;
pub mod wire;
