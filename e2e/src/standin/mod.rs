//! A stand-in for Strimzi's Topic Operator, for clusters without Strimzi.
//!
//! It keeps the Topic Operator's contract as far as a client of `KafkaTopic` can see it: topics are created,
//! grown and configured on the broker as declared, and the status says Ready, or why not, in Strimzi's own
//! words. It leaves out what this project does not use: changes of the replication factor by Cruise Control,
//! and access lists.

mod broker;
mod decide;
mod reconcile;
mod status;

pub use broker::{Broker, BrokerError, TopicState};
pub use decide::{Decision, decide};
pub use reconcile::{Context, run};

/// The finalizer with which Strimzi deletes the Kafka topic before the object disappears.
pub const FINALIZER: &str = "strimzi.io/topic-operator";
/// With the value `true` the object is left as it is.
pub const PAUSE_ANNOTATION: &str = "strimzi.io/pause-reconciliation";
