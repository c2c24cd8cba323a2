//! A batch of steps: what they write, do and answer.

use std::ops::Range;
use std::time::{Duration, Instant};

use kbnt_application::ports::{Clock, Unreadable};
use kbnt_application::{Append, Delivered, Effect, EffectOutcome, Machine, Outbox, Position, Service};
use kbnt_domain::{OrderId, Timestamp};

use super::handle::{Job, Reply};

/// Steps of one machine, whose outputs are appended together.
pub(super) struct Batch<'a> {
    clock: &'a dyn Clock,
    outbox: Outbox,
    pub(super) appends: Vec<Append>,
    pub(super) effects: Vec<Effect>,
    /// Callers, and which of `appends` are theirs.
    replies: Vec<(Range<usize>, Reply)>,
    /// Input records.
    pub(super) inputs: usize,
    started: Instant,
    /// Whether anything was stepped.
    pub(super) stepped: bool,
    /// Whether the state may be another one: a call that wrote nothing only looked.
    pub(super) changed: bool,
}

impl<'a> Batch<'a> {
    pub(super) fn new(service: Service, clock: &'a dyn Clock) -> Self {
        Self {
            clock,
            outbox: Outbox::new(service, clock.now()),
            appends: Vec::new(),
            effects: Vec::new(),
            replies: Vec::new(),
            inputs: 0,
            started: Instant::now(),
            stepped: false,
            changed: false,
        }
    }

    /// Steps once, at the present time and with no cause left over from the step before.
    fn step<R>(&mut self, step: impl FnOnce(&mut Outbox) -> R) -> R {
        self.outbox.set_now(self.clock.now());
        let result = step(&mut self.outbox);
        let (appends, effects) = self.outbox.take();
        self.appends.extend(appends);
        self.effects.extend(effects);
        (self.stepped, self.changed) = (true, true);
        result
    }

    /// The time of the last step.
    pub(super) const fn now(&self) -> Timestamp {
        self.outbox.now()
    }

    pub(super) fn handle(&mut self, machine: &mut impl Machine, record: &Delivered) {
        self.inputs += 1;
        self.step(|outbox| machine.handle(record, outbox));
    }

    pub(super) fn unreadable(&mut self, machine: &mut impl Machine, record: &Unreadable) {
        self.inputs += 1;
        self.step(|outbox| machine.unreadable(record, outbox));
    }

    pub(super) fn recovered(&mut self, machine: &mut impl Machine, partition: u32) {
        self.step(|outbox| machine.recovered(partition, outbox));
    }

    pub(super) fn elect(&mut self, machine: &mut impl Machine) {
        self.step(|outbox| machine.elect(outbox));
    }

    pub(super) fn completed(&mut self, machine: &mut impl Machine, order: OrderId, outcome: EffectOutcome) {
        self.step(|outbox| machine.completed(order, outcome, outbox));
    }

    /// Ticks if the machine wants it by now.
    pub(super) fn tick(&mut self, machine: &mut impl Machine) {
        let now = self.clock.now();
        if machine.next_tick().is_some_and(|at| at <= now) {
            self.step(|outbox| machine.tick(outbox));
        }
    }

    pub(super) fn call<M>(&mut self, machine: &mut M, job: Job<M>) {
        let (from, changed) = (self.appends.len(), self.changed);
        let reply = self.step(|outbox| job(machine, outbox));
        self.changed = changed || self.appends.len() > from;
        self.replies.push((from..self.appends.len(), reply));
    }

    /// When it was begun.
    pub(super) fn began(&self) -> tokio::time::Instant {
        self.started.into()
    }

    /// How long the steps took so far.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The callers with the positions of what they wrote; `positions` are those of `appends`.
    pub(super) fn replies(&mut self, positions: &[Position]) -> Vec<(Vec<Position>, Reply)> {
        let of = |(range, reply): (Range<usize>, Reply)| (positions[range].to_vec(), reply);
        std::mem::take(&mut self.replies).into_iter().map(of).collect()
    }
}
