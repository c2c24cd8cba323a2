//! Effects in the world outside: as many at once as the outside can take, in the order in which they were asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use kbnt_application::message::partition_of;
use kbnt_application::{Effect, EffectOutcome, Service};
use kbnt_domain::OrderId;
use tokio::task::JoinSet;

use super::observe::Observer;
use super::runner::{EffectPerformer, RunnerParts};

/// How many attempts may be under way at once.
const AT_ONCE: usize = 256;

/// Attempts that are under way or wait for their turn.
pub(super) struct Effects {
    service: Service,
    performer: Arc<dyn EffectPerformer>,
    observer: Arc<dyn Observer>,
    waiting: VecDeque<Effect>,
    running: JoinSet<(OrderId, EffectOutcome)>,
}

impl Effects {
    pub(super) fn new(service: Service, parts: &RunnerParts) -> Self {
        Self {
            service,
            performer: Arc::clone(&parts.effects),
            observer: Arc::clone(&parts.observer),
            waiting: VecDeque::new(),
            running: JoinSet::new(),
        }
    }

    /// Does these, each as soon as there is room.
    pub(super) fn start(&mut self, effects: Vec<Effect>) {
        self.waiting.extend(effects);
        self.fill();
    }

    fn fill(&mut self) {
        while self.running.len() < AT_ONCE {
            let Some(effect) = self.waiting.pop_front() else { return };
            let (performer, observer, service) =
                (Arc::clone(&self.performer), Arc::clone(&self.observer), self.service);
            self.running.spawn(async move {
                let started = Instant::now();
                let outcome = performer.perform(&effect).await;
                observer.effect(service, &effect, &outcome, started.elapsed());
                (order_of(&effect), outcome)
            });
        }
    }

    /// The next one that came to an end; pending for ever while there is none.
    pub(super) async fn ended(&mut self) -> (OrderId, EffectOutcome) {
        loop {
            match self.running.join_next().await {
                Some(Ok(ended)) => {
                    self.fill();
                    return ended;
                }
                // A performer that panicked has said so; its order is taken up again at the next start.
                Some(Err(_)) => self.fill(),
                None => std::future::pending().await,
            }
        }
    }

    /// The next one that has come to an end already.
    pub(super) fn try_ended(&mut self) -> Option<(OrderId, EffectOutcome)> {
        let ended = self.running.try_join_next()?.ok();
        self.fill();
        ended
    }

    /// Begins no more of those whose order is of this partition: another process sees to them.
    pub(super) fn drop_waiting_of(&mut self, partition: u32) {
        let count = self.service.output().partitions();
        self.waiting.retain(|effect| partition_of(order_of(effect).to_string(), count) != partition);
    }

    /// Begins no more.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Whether none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }
}

const fn order_of(effect: &Effect) -> OrderId {
    match effect {
        Effect::Charge { order, .. }
        | Effect::QueryCharge { order }
        | Effect::CloseCharge { order, .. }
        | Effect::Refund { order, .. }
        | Effect::Notify { order, .. } => *order,
    }
}
