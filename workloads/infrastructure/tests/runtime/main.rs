//! What the runtime promises to machines and to those who call them, on the embedded log.
#![allow(missing_docs, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod effects;
mod groups;
mod projection;
mod writer;
