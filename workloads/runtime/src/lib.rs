//! Connects the drivers of state machines to any event log, and keeps read models up to date.

mod append;
mod backoff;
mod effects;
mod handle;
mod history;
pub mod intact;
mod lag;
mod projection;
mod reader;
mod runner;
mod shell;
mod snapshots;

pub use handle::{Handle, Progress};
pub use history::{HistoryPlan, HistoryRunner, HistoryView};
pub use projection::{ProjectionRunner, View};
pub use runner::{EffectPerformer, RunError, Runner, RunnerParts};
pub use snapshots::SnapshotPlan;
