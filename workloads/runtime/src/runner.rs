//! Drives one machine.

use std::sync::Arc;

use async_trait::async_trait;
use kbnt_application::driver::Failure;
use kbnt_application::event::Writer;
use kbnt_application::intact::Damage;
use kbnt_application::machine::ImageOf;
use kbnt_application::ports::{CallError, Clock, EventLog, Leadership, LogError, Observer};
use kbnt_application::{Effect, EffectOutcome, Machine, Service};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::handle::{self, Handle, HandleEnd};
use super::shell::Shell;
use super::snapshots::SnapshotPlan;

/// Performs a machine's effects in the outside world; one attempt per call, within its own time limit.
#[async_trait]
pub trait EffectPerformer: Send + Sync + 'static {
    /// Performs `effect` and returns its outcome.
    async fn perform(&self, effect: &Effect) -> EffectOutcome;

    /// Whether it counts towards the limit of effects in progress. An effect that only waits for a timer does
    /// not.
    fn takes_place(&self, _effect: &Effect) -> bool {
        true
    }
}

/// The dependencies of a runner.
#[derive(Clone)]
pub struct RunnerParts {
    /// The log that it reads and writes.
    pub log: Arc<dyn EventLog>,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
    /// The outside world.
    pub effects: Arc<dyn EffectPerformer>,
    /// Receives reports about its work.
    pub observer: Arc<dyn Observer>,
}

/// Why a runner ended before it was stopped.
#[derive(Debug, Error)]
pub enum RunError {
    /// The log refuses permanently.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A newer writer has taken over.
    #[error("fenced by writer {} of term {}", .0.name, .0.term)]
    Fenced(Writer),
    /// This process can never get its turn.
    #[error("whose turn it is to write cannot be found out: {0}")]
    Leadership(String),
    /// A bug that would have broken the books.
    #[error("an invariant is violated: {0}")]
    Broken(String),
    /// The archive of closed orders has failed.
    #[error("{0}")]
    Archive(String),
}

impl From<Failure> for RunError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Log(error) => Self::Log(error),
            Failure::Fenced(writer) => Self::Fenced(writer),
            Failure::Broken(what) => Self::Broken(what),
            Failure::Archive(what) => Self::Archive(what),
        }
    }
}

impl RunError {
    /// The damage of the log, if that is the reason.
    pub(super) const fn damage(&self) -> Option<Damage> {
        match self {
            Self::Log(LogError::Damaged(damage)) => Some(*damage),
            _ => None,
        }
    }

    /// The error for a caller whose call was in progress.
    pub(super) fn of_call(&self) -> CallError {
        self.damage().map_or(CallError::Fenced, CallError::Damaged)
    }
}

/// Drives one machine on a log. See [`kbnt_application::machine`] for the rules.
pub struct Runner<M: Machine> {
    machine: M,
    parts: RunnerParts,
    end: HandleEnd<M>,
    leadership: Option<Arc<dyn Leadership>>,
    snapshots: Option<SnapshotPlan<ImageOf<M>>>,
}

impl<M: Machine> Runner<M> {
    /// A runner of `machine`, and the handle to call it.
    pub fn new(machine: M, parts: RunnerParts) -> (Self, Handle<M>) {
        let (end, handle) = handle::pair();
        (Self { machine, parts, end, leadership: None, snapshots: None }, handle)
    }

    /// The service that it drives.
    pub fn service(&self) -> Service {
        self.machine.service()
    }

    /// Makes a sole writer stand by until its turn: it folds the records of the present writer, so that it
    /// can continue where that one ends.
    #[must_use]
    pub fn led_by(mut self, leadership: Arc<dyn Leadership>) -> Self {
        self.leadership = Some(leadership);
        self
    }

    /// Makes a sole writer start from a snapshot, and take new ones.
    #[must_use]
    pub fn with_snapshots(mut self, plan: SnapshotPlan<ImageOf<M>>) -> Self {
        self.snapshots = Some(plan);
        self
    }

    /// Runs until `shutdown` or a permanent error. On `shutdown` it finishes the current batch, commits its
    /// offsets and hands over its partitions. With a damaged log it ends the machine, and lives on only to
    /// report that.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), RunError> {
        let progress = self.end.progress.clone();
        // Only a sole writer takes turns.
        let leadership = self.leadership.filter(|_| self.machine.sole_writer().is_some());
        let shell = Shell::new(
            self.machine,
            self.parts,
            self.end,
            leadership.clone(),
            self.snapshots,
            shutdown.clone(),
        );
        let outcome = shell.run().await;
        if let Some(leadership) = leadership {
            leadership.release().await;
        }
        match outcome {
            Err(error) => match error.damage() {
                Some(damage) => {
                    progress.send_modify(|progress| {
                        (progress.ready, progress.standing_by) = (false, false);
                        progress.damage = Some(damage);
                    });
                    shutdown.cancelled().await;
                    Ok(())
                }
                None => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }
}
