//! Carries events and commands between the drivers of state machines and any event log, and keeps read models up to date.

mod append;
mod backoff;
mod effects;
mod handle;
mod lag;
mod leadership;
mod projection;
mod reader;
mod runner;
mod shell;
mod snapshots;

pub use handle::{CallError, Handle, Progress};
pub use kbnt_application::driver::observe::{NoObserver, Observer, SnapshotTold, Stage};
pub use leadership::Leadership;
pub use projection::{ProjectionRunner, View};
pub use runner::{EffectPerformer, RunError, Runner, RunnerParts};
pub use snapshots::SnapshotPlan;
