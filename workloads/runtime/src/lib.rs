//! Drives state machines and read models on any event log: what to read, when to write, when to acknowledge.

mod again;
mod backoff;
mod batch;
mod begin;
mod catchup;
mod core;
mod drive;
mod effects;
mod handle;
mod inputs;
pub mod intact;
mod lag;
mod projection;
mod restore;
mod runner;
mod snapshots;
mod source;
mod tail;
mod turns;

pub use handle::{Handle, Progress};
pub use projection::{ProjectionRunner, View};
pub use runner::{EffectPerformer, RunError, Runner, RunnerParts};
pub use snapshots::SnapshotPlan;
