//! The interface of a running machine to the rest of the process.

use async_trait::async_trait;
use kbnt_application::intact::Damage;
use kbnt_application::ports::{CALL_PATIENCE, CallError, Callable, Changes, Work};
use kbnt_application::{Outbox, Position};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

/// The progress of a runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The state is folded, and the log answers.
    pub ready: bool,
    /// Everything that existed is folded, and the process follows the log until its turn to write.
    pub standing_by: bool,
    /// Damage of the log: the service no longer decides.
    pub damage: Option<Damage>,
    /// Grows with every batch that may have changed the machine's state, once the batch is durable.
    pub version: u64,
}

/// Answers a caller, once the records of its call are durable.
pub(super) type Reply = Box<dyn FnOnce(Result<Vec<Position>, CallError>) + Send>;

/// A queued call.
pub(super) type Job<M> = Box<dyn FnOnce(&mut M, &mut Outbox) -> Reply + Send>;

/// Calls that may queue; beyond that, callers wait.
const CALLS_IN_LINE: usize = 1024;

/// Calls a running machine. Cheap to clone.
pub struct Handle<M> {
    jobs: mpsc::Sender<Job<M>>,
    progress: watch::Receiver<Progress>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), progress: self.progress.clone() }
    }
}

impl<M> std::fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}

/// The runtime's end of a [`Handle`].
pub(super) struct HandleEnd<M> {
    pub(super) jobs: mpsc::Receiver<Job<M>>,
    pub(super) progress: watch::Sender<Progress>,
}

/// Both ends.
pub(super) fn pair<M>() -> (HandleEnd<M>, Handle<M>) {
    let (send, receive) = mpsc::channel(CALLS_IN_LINE);
    let (progress, watched) = watch::channel(Progress::default());
    (HandleEnd { jobs: receive, progress }, Handle { jobs: send, progress: watched })
}

impl<M: 'static> Handle<M> {
    /// Runs `work` between two batches and returns its result, once everything that it put into the outbox is
    /// durable (and, for a sole writer, read back below any newer election).
    pub async fn call<R, F>(&self, work: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: FnOnce(&mut M, &mut Outbox) -> R + Send + 'static,
    {
        self.write(work).await.map(|(value, _)| value)
    }

    /// As [`Handle::call`], and also returns the positions of the records that `work` wrote, in its order.
    pub async fn write<R, F>(&self, work: F) -> Result<(R, Vec<Position>), CallError>
    where
        R: Send + 'static,
        F: FnOnce(&mut M, &mut Outbox) -> R + Send + 'static,
    {
        let Progress { ready, damage, .. } = *self.progress.borrow();
        if let Some(damage) = damage {
            return Err(damage.into());
        }
        if !ready {
            return Err(CallError::NotReady);
        }
        let deadline = Instant::now() + CALL_PATIENCE;
        let (answer, answered) = oneshot::channel();
        let job: Job<M> = Box::new(move |machine, outbox| {
            let value = work(machine, outbox);
            Box::new(move |outcome| {
                // A failed send means that the caller is gone.
                let _ = answer.send(outcome.map(|positions| (value, positions)));
            })
        });
        // A call that never got into the queue had no effect.
        let sent = timeout_at(deadline, self.jobs.send(job)).await.map_err(|_| CallError::NotReady)?;
        if sent.is_err() {
            return Err(self.ended().await);
        }
        match timeout_at(deadline, answered).await.map_err(|_| CallError::Late)? {
            Ok(answer) => answer,
            Err(_) => Err(self.ended().await),
        }
    }

    /// Why a machine that has ended accepts no calls: its log is damaged, or its runner is ending.
    async fn ended(&self) -> CallError {
        let mut progress = self.progress.clone();
        let damaged = progress.wait_for(|progress| progress.damage.is_some()).await;
        damaged.ok().and_then(|progress| progress.damage).map_or(CallError::Stopped, CallError::Damaged)
    }

    /// Whether the state is folded and the log answers.
    pub fn is_ready(&self) -> bool {
        self.progress.borrow().ready
    }

    /// Whether it follows the log until its turn to write.
    pub fn is_standing_by(&self) -> bool {
        self.progress.borrow().standing_by
    }

    /// Watches its progress.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }
}

#[async_trait]
impl<M: 'static> Callable<M> for Handle<M> {
    async fn run(&self, work: Work<M>) -> Result<Vec<Position>, CallError> {
        self.write(work).await.map(|((), positions)| positions)
    }

    fn is_ready(&self) -> bool {
        Self::is_ready(self)
    }

    fn is_standing_by(&self) -> bool {
        Self::is_standing_by(self)
    }

    fn changes(&self) -> Box<dyn Changes> {
        Watched::from_now(self.progress())
    }
}

/// A watched value of which only the changes matter.
pub(super) struct Watched<T>(watch::Receiver<T>);

impl<T: Send + Sync + 'static> Watched<T> {
    /// Changes so far do not count.
    pub(super) fn from_now(mut receiver: watch::Receiver<T>) -> Box<dyn Changes> {
        receiver.mark_unchanged();
        Box::new(Self(receiver))
    }
}

#[async_trait]
impl<T: Send + Sync + 'static> Changes for Watched<T> {
    async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}
