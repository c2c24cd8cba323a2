//! The operator: reconciles VirtualStock and OrderWorkflow.
//!
//! One folder for each resource, in which a reconcile reads as one page: dereference (reads, no decision), validate and
//! build (decide, no I/O), apply (writes, in a written order), status. Beside them what they share.

// Names of kinds are words here, and no code.
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
pub mod ownership;
pub mod process;
pub mod queue;
pub mod readiness;
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
