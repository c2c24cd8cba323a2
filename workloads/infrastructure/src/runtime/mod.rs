//! Drives state machines and read models on any event log: what to read, when to write, when to acknowledge.

mod handle;
mod observe;
mod projection;
mod runner;

pub use handle::{CallError, Handle, Progress};
pub use observe::{NoObserver, Observer, Stage};
pub use projection::{ProjectionRunner, View};
pub use runner::{EffectPerformer, RunError, Runner, RunnerParts};
