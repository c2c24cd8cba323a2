//! A stand-in for Strimzi's Topic Operator, for clusters where no Strimzi can be had.
//!
//! It keeps the Topic Operator's contract as far as a client of `KafkaTopic` can see it: topics are made, grown and
//! configured on the broker as declared, and the status says Ready, or why not, in Strimzi's own words. It leaves out
//! what this project has no use for: changes of the replication factor by Cruise Control, and access lists.

mod broker;
mod decide;
mod reconcile;
mod status;

pub use broker::{Broker, BrokerError, TopicState};
pub use decide::{Decision, decide};
pub use reconcile::{Context, run};

/// The finalizer by which Strimzi deletes the Kafka topic before the object goes.
pub const FINALIZER: &str = "strimzi.io/topic-operator";
/// With the value `true` the object is left as it is.
pub const PAUSE_ANNOTATION: &str = "strimzi.io/pause-reconciliation";
