//! The operator: reconciles VirtualStock and OrderWorkflow.
//!
//! A reconcile reads as one page in `pipeline`, which is the same for both: dereference (reads, no decision), validate and build
//! (decide, no I/O), apply (writes, in a written order, and returns what it did and saw), status (computed from that). What a resource has
//! of its own is in a folder of its own. The kinds of objects that the operator owns are the table in `owned`. Imports go one way:
//! `tests/layers.rs` has the order.

// Kinds appear in the docs as plain words, not as code.
#![allow(clippy::doc_markdown)]

pub mod conditions;
pub mod context;
pub mod controller;
pub mod discovery;
pub mod drift;
pub mod error;
pub mod finalizer;
pub mod health;
pub mod kafka_cluster;
pub mod kube;
pub mod labels;
pub mod leader;
pub mod log;
pub mod metrics;
pub mod options;
pub mod order_workflow;
pub mod owned;
pub mod ownership;
pub mod pipeline;
pub mod process;
pub mod queue;
pub mod readiness;
pub mod resources;
pub mod retry;
pub mod run;
pub mod service_client;
pub mod status;
pub mod status_throttle;
pub mod topics;
pub mod user_rights;
pub mod users;
pub mod virtual_stock;
pub mod watches;
pub mod workloads;
