//! Adapters: Kafka, embedded log, HTTP, payment, notification, metrics, logging.

pub mod runtime;
pub mod wire;
pub mod embedded;
pub mod raw;
