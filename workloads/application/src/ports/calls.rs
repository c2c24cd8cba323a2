//! How others talk to a running machine; a runtime offers it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

use crate::intact::Damage;
use crate::machine::{Outbox, Position};

/// How long a call may take, from the line to the log and back.
pub const CALL_PATIENCE: Duration = Duration::from_secs(15);

/// Why a call was not answered. Unless it says [`CallError::NotReady`], nobody knows whether it had its effect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// The machine has no partition, or has not folded it yet; the call had no effect.
    #[error("the service is not ready")]
    NotReady,
    /// A newer writer has been elected.
    #[error("another process has taken over")]
    Fenced,
    /// The log is not the one that the service knows.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The runtime has ended.
    #[error("the service is stopping")]
    Stopped,
    /// Nothing was acknowledged in time; it may still be.
    #[error("the log did not acknowledge it within {} s", CALL_PATIENCE.as_secs())]
    Late,
}

/// What a caller does with a machine, between two batches.
pub type Work<M> = Box<dyn FnOnce(&mut M, &mut Outbox) + Send>;

/// A running machine that takes calls.
#[async_trait]
pub trait Callable<M>: fmt::Debug + Send + Sync + 'static {
    /// Runs `work` between two batches and returns once all that it put into the outbox is durable (and, for a sole writer,
    /// read back below any newer election); where those records lie, in the order of the outbox.
    async fn run(&self, work: Work<M>) -> Result<Vec<Position>, CallError>;

    /// Whether the state is folded and the log answers.
    fn is_ready(&self) -> bool;

    /// Whether it follows the log until it is its turn to write.
    fn is_standing_by(&self) -> bool;

    /// Watches for changes of the state.
    fn changes(&self) -> Box<dyn Changes>;
}

impl<M: 'static> dyn Callable<M> {
    /// As [`Callable::run`], and returns what `work` returned.
    pub async fn call<R, F>(&self, work: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: FnOnce(&mut M, &mut Outbox) -> R + Send + 'static,
    {
        let returned = Arc::new(Mutex::new(None));
        let returns = Arc::clone(&returned);
        self.run(Box::new(move |machine, outbox| {
            *returns.lock().unwrap_or_else(PoisonError::into_inner) = Some(work(machine, outbox));
        }))
        .await?;
        // Who answers without having run it is no running machine.
        let value = returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        value.ok_or(CallError::Stopped)
    }
}

/// Watches for what changes from the moment on at which it was asked for.
#[async_trait]
pub trait Changes: Send {
    /// Returns once something has changed since it was asked for, or since this last returned; `false` if nothing will change any
    /// more.
    async fn changed(&mut self) -> bool;
}
