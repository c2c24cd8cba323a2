//! The operator: reconciles VirtualStock and OrderWorkflow.
//!
//! One folder for each resource, in which a reconcile reads as one page: dereference (reads, no decision), validate and
//! build (decide, no I/O), apply (writes, in a written order), status. Beside them what they share.

// Names of kinds are words here, and no code.
#![allow(clippy::doc_markdown)]

pub mod cluster;
pub mod conditions;
pub mod context;
pub mod controller;
pub mod discovery;
pub mod error;
pub mod finalizer;
pub mod gate;
pub mod health;
pub mod leader;
pub mod log;
pub mod metrics;
pub mod options;
pub mod order_workflow;
pub mod recognizer;
pub mod run;
pub mod services;
pub mod status;
pub mod topics;
pub mod users;
pub mod virtual_stock;
pub mod watches;
pub mod workloads;
