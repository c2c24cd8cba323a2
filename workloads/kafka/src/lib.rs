//! The event log on Kafka.
//!
//! A process that shares the work of a service subscribes only to the service's own output topic, to learn which of its partitions it
//! owns. It then reads the partitions with the same numbers of all input topics. So the process that answers in a partition reads
//! everything that is answered there, whatever the assignor does.

pub mod admin;
mod client;
mod consumer;
mod event_log;
mod producer;

pub use admin::topic_id::of as topic_id;
pub use client::config::KafkaConfig;
pub use client::security::{ClientCertificate, Mechanism, Protocol, Sasl, Security};
pub use event_log::KafkaLog;
