//! Effects in the world outside: as many at once as the outside can take, users in turn.

use std::collections::HashMap;
use std::mem;

use super::turns::{Turns, Who, who};
use kbnt_domain::Timestamp;

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
    /// Those whose time was over when their turn came.
    overdue: Vec<Effect>,
}

impl Effects {
    pub(super) fn new(
        service: Service,
        at_once: usize,
        takes_place: Box<dyn Fn(&Effect) -> bool + Send>,
    ) -> Self {
        let (waiting, running) = (Turns::default(), HashMap::new());
        Self { service, at_once, takes_place, waiting, running, places: 0, named: 0, overdue: Vec::new() }
    }

    /// Does these, each as soon as there is room.
    pub(super) fn start(
        &mut self,
        now: Timestamp,
        effects: &mut Vec<Effect>,
        mut begin: impl FnMut(Attempt, Effect),
    ) {
        for effect in effects.drain(..) {
            if (self.takes_place)(&effect) {
                self.waiting.push(effect);
            } else if effect.is_overdue(now) {
                self.overdue.push(effect);
            } else {
                begin(self.under_way(None), effect);
            }
        }
        self.fill(now, begin);
    }

    fn fill(&mut self, now: Timestamp, mut begin: impl FnMut(Attempt, Effect)) {
        while let Some(free) = self.at_once.checked_sub(self.places).filter(|free| *free > 0) {
            let Some(effect) = self.waiting.next(free) else { return };
            // It may have waited for long: for its batch to be durable, and for a place.
            if effect.is_overdue(now) {
                self.waiting.done(&who(&effect));
                self.overdue.push(effect);
                continue;
            }
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
    pub(super) fn ended(&mut self, now: Timestamp, attempt: Attempt, begin: impl FnMut(Attempt, Effect)) {
        if let Some(Some(who)) = self.running.remove(&attempt) {
            self.places -= 1;
            self.waiting.done(&who);
        }
        self.fill(now, begin);
    }

    /// Those that were not begun, as their time was over.
    pub(super) fn take_overdue(&mut self) -> Vec<Effect> {
        mem::take(&mut self.overdue)
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
