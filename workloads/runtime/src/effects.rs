//! Effects in progress.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use kbnt_application::driver::Attempt;
use kbnt_application::{Effect, EffectOutcome, Service};
use kbnt_domain::OrderId;
use tokio::task::{Id, JoinError, JoinSet};

use super::runner::RunnerParts;

/// An attempt that has ended. It has no outcome if its performer panicked, which is logged: its order is
/// resumed at the next start.
pub(super) type Ended = (Attempt, Option<(OrderId, EffectOutcome)>);

/// Attempts in progress.
#[derive(Default)]
pub(super) struct Effects {
    running: JoinSet<(OrderId, EffectOutcome)>,
    attempts: HashMap<Id, Attempt>,
}

impl Effects {
    pub(super) fn begin(&mut self, service: Service, parts: &RunnerParts, attempt: Attempt, effect: Effect) {
        let (performer, observer) = (Arc::clone(&parts.effects), Arc::clone(&parts.observer));
        let task = self.running.spawn(async move {
            let started = Instant::now();
            let outcome = performer.perform(&effect).await;
            observer.effect(service, &effect, &outcome, started.elapsed());
            (effect.order(), outcome)
        });
        self.attempts.insert(task.id(), attempt);
    }

    /// The next attempt that ends; pending for ever while there is none.
    pub(super) async fn ended(&mut self) -> Ended {
        loop {
            match self.running.join_next_with_id().await {
                Some(joined) => {
                    if let Some(ended) = self.of(joined) {
                        return ended;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// The next attempt that has ended already.
    pub(super) fn try_ended(&mut self) -> Option<Ended> {
        let joined = self.running.try_join_next_with_id()?;
        self.of(joined)
    }

    fn of(&mut self, joined: Result<(Id, (OrderId, EffectOutcome)), JoinError>) -> Option<Ended> {
        let (id, outcome) = match joined {
            Ok((id, outcome)) => (id, Some(outcome)),
            Err(error) => (error.id(), None),
        };
        Some((self.attempts.remove(&id)?, outcome))
    }
}
