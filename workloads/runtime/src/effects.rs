//! Effects in the world outside: as many at once as the outside can take, users in turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use kbnt_application::message::partition_of;
use kbnt_application::{Effect, EffectOutcome, Service};
use kbnt_domain::OrderId;
use tokio::task::{Id, JoinSet};

use super::runner::{EffectPerformer, RunnerParts};
use super::turns::{Turns, Who, who};
use kbnt_application::ports::Observer;

/// How many attempts may be under way at once.
const AT_ONCE: usize = 256;

/// Attempts that are under way or wait for their turn.
pub(super) struct Effects {
    service: Service,
    performer: Arc<dyn EffectPerformer>,
    observer: Arc<dyn Observer>,
    waiting: Turns,
    running: JoinSet<(OrderId, EffectOutcome)>,
    /// For whom those are that are under way and take a place.
    places: HashMap<Id, Who>,
}

impl Effects {
    pub(super) fn new(service: Service, parts: &RunnerParts) -> Self {
        Self {
            service,
            performer: Arc::clone(&parts.effects),
            observer: Arc::clone(&parts.observer),
            waiting: Turns::default(),
            running: JoinSet::new(),
            places: HashMap::new(),
        }
    }

    /// Does these, each as soon as there is room.
    pub(super) fn start(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if self.performer.takes_place(&effect) {
                self.waiting.push(effect);
            } else {
                self.begin(effect);
            }
        }
        self.fill();
    }

    fn fill(&mut self) {
        while let Some(free) = AT_ONCE.checked_sub(self.places.len()).filter(|free| *free > 0) {
            let Some(effect) = self.waiting.next(free) else { return };
            let who = who(&effect);
            let id = self.begin(effect);
            self.places.insert(id, who);
        }
    }

    fn begin(&mut self, effect: Effect) -> Id {
        let (performer, observer, service) =
            (Arc::clone(&self.performer), Arc::clone(&self.observer), self.service);
        let task = self.running.spawn(async move {
            let started = Instant::now();
            let outcome = performer.perform(&effect).await;
            observer.effect(service, &effect, &outcome, started.elapsed());
            (effect.order(), outcome)
        });
        task.id()
    }

    /// The next one that came to an end; pending for ever while there is none.
    pub(super) async fn ended(&mut self) -> (OrderId, EffectOutcome) {
        loop {
            match self.running.join_next_with_id().await {
                Some(Ok((id, ended))) => {
                    self.leave(id);
                    return ended;
                }
                // A performer that panicked has said so; its order is taken up again at the next start.
                Some(Err(error)) => self.leave(error.id()),
                None => std::future::pending().await,
            }
        }
    }

    /// The next one that has come to an end already.
    pub(super) fn try_ended(&mut self) -> Option<(OrderId, EffectOutcome)> {
        match self.running.try_join_next_with_id()? {
            Ok((id, ended)) => {
                self.leave(id);
                Some(ended)
            }
            Err(error) => {
                self.leave(error.id());
                None
            }
        }
    }

    /// A place is free again.
    fn leave(&mut self, id: Id) {
        if let Some(who) = self.places.remove(&id) {
            self.waiting.done(&who);
        }
        self.fill();
    }

    /// Begins no more of those whose order is of this partition: another process sees to them.
    pub(super) fn drop_waiting_of(&mut self, partition: u32) {
        let count = self.service.output().partitions();
        self.waiting.retain(|effect| partition_of(effect.order().to_string(), count) != partition);
    }

    /// Begins no more.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.retain(|_| false);
    }

    /// Whether none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}
