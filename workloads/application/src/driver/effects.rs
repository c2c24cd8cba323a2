//! Effects in the world outside: as many at once as the outside can take, users in turn.

use std::collections::HashMap;

use super::turns::{Turns, Who, who};
use crate::machine::Effect;
use crate::message::{Service, partition_of};

/// Names an attempt that was started.
pub type Attempt = u64;

/// Attempts that are under way or wait for their turn.
pub(super) struct Effects {
    service: Service,
    /// How many may be under way at once.
    at_once: usize,
    takes_place: Box<dyn Fn(&Effect) -> bool + Send>,
    waiting: Turns,
    /// Those under way, and for whom those are that take a place.
    running: HashMap<Attempt, Option<Who>>,
    /// How many of those under way take a place.
    places: usize,
    named: Attempt,
}

impl Effects {
    pub(super) fn new(
        service: Service,
        at_once: usize,
        takes_place: Box<dyn Fn(&Effect) -> bool + Send>,
    ) -> Self {
        let (waiting, running) = (Turns::default(), HashMap::new());
        Self { service, at_once, takes_place, waiting, running, places: 0, named: 0 }
    }

    /// Does these, each as soon as there is room.
    pub(super) fn start(&mut self, effects: &mut Vec<Effect>, mut begin: impl FnMut(Attempt, Effect)) {
        for effect in effects.drain(..) {
            if (self.takes_place)(&effect) {
                self.waiting.push(effect);
            } else {
                begin(self.under_way(None), effect);
            }
        }
        self.fill(begin);
    }

    fn fill(&mut self, mut begin: impl FnMut(Attempt, Effect)) {
        while let Some(free) = self.at_once.checked_sub(self.places).filter(|free| *free > 0) {
            let Some(effect) = self.waiting.next(free) else { return };
            self.places += 1;
            begin(self.under_way(Some(who(&effect))), effect);
        }
    }

    fn under_way(&mut self, place: Option<Who>) -> Attempt {
        self.named += 1;
        self.running.insert(self.named, place);
        self.named
    }

    /// One has come to its end: its place is free again.
    pub(super) fn ended(&mut self, attempt: Attempt, begin: impl FnMut(Attempt, Effect)) {
        if let Some(Some(who)) = self.running.remove(&attempt) {
            self.places -= 1;
            self.waiting.done(&who);
        }
        self.fill(begin);
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
