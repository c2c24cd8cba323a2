//! Contracts of the runtime with machines and callers, on the embedded log.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod again;
mod archive;
mod backup;
mod callers;
mod clock;
mod dead_letters;
mod effects;
mod groups;
mod history;
mod intact;
mod misplaced;
mod projection;
mod snapshots;
mod writer;
