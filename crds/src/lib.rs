//! API types of the `kbnt.dev` resources, and of Strimzi's `KafkaTopic` and `KafkaUser` as far as the operator needs it.
//!
//! The doc comments of the fields are what `kubectl explain` shows, and the rules beside them are what the
//! API server enforces: there is no webhook. The `crdgen` binary writes the YAML.

// The KubeSchema derive declares a copy of each type inside a function.
#![allow(unreachable_pub)]
// Users read the doc comments with kubectl, where backticks around names of kinds are noise.
#![allow(clippy::doc_markdown)]

pub mod checkpoints;
pub mod closed_orders;
pub mod common;
pub mod generate;
pub mod kafka_topic;
pub mod kafka_user;
pub mod order_workflow;
pub mod pod;
pub mod read_model;
mod strimzi;
pub mod virtual_stock;
pub mod volume_claim;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
pub use kafka_topic::{KafkaTopic, KafkaTopicSpec, KafkaTopicStatus};
pub use kafka_user::KafkaUser;
pub use order_workflow::{OrderWorkflow, OrderWorkflowSpec, OrderWorkflowStatus};
pub use virtual_stock::{VirtualStock, VirtualStockSpec, VirtualStockStatus};

/// The API group of both resources.
pub const GROUP: &str = "kbnt.dev";
/// The one version served.
pub const VERSION: &str = "v1alpha1";
