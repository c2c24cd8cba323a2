//! A batch of steps: what they write, do and answer.

use std::ops::Range;
use std::time::Duration;

use kbnt_domain::{OrderId, Timestamp};

use super::Call;
use crate::machine::{Append, Delivered, Effect, EffectOutcome, Machine, Outbox, Position, SoleWriter};
use crate::message::Service;
use crate::ports::{Clock, Unreadable};

/// Steps of one machine, whose outputs are appended together.
pub(super) struct Batch<R> {
    outbox: Outbox,
    pub(super) appends: Vec<Append>,
    pub(super) effects: Vec<Effect>,
    /// Callers, and which of `appends` are theirs.
    replies: Vec<(Range<usize>, R)>,
    /// Input records.
    pub(super) inputs: usize,
    /// When its first step was taken.
    pub(super) began: Duration,
    /// Whether anything was stepped.
    pub(super) stepped: bool,
    /// Whether the state may be another one: a call that wrote nothing only looked.
    pub(super) changed: bool,
}

impl<R> Batch<R> {
    pub(super) fn new(service: Service, clock: &dyn Clock, began: Duration) -> Self {
        Self {
            outbox: Outbox::new(service, clock.now()),
            appends: Vec::new(),
            effects: Vec::new(),
            replies: Vec::new(),
            inputs: 0,
            began,
            stepped: false,
            changed: false,
        }
    }

    /// Steps once, at the present time and with no cause left over from the step before.
    fn step<T>(&mut self, clock: &dyn Clock, step: impl FnOnce(&mut Outbox) -> T) -> T {
        self.outbox.set_now(clock.now());
        let result = step(&mut self.outbox);
        self.outbox.take_into(&mut self.appends, &mut self.effects);
        (self.stepped, self.changed) = (true, true);
        result
    }

    /// The time of the last step.
    pub(super) const fn now(&self) -> Timestamp {
        self.outbox.now()
    }

    pub(super) fn handle(&mut self, machine: &mut impl Machine, clock: &dyn Clock, record: &Delivered) {
        self.inputs += 1;
        self.step(clock, |outbox| machine.handle(record, outbox));
    }

    pub(super) fn unreadable(&mut self, machine: &mut impl Machine, clock: &dyn Clock, record: &Unreadable) {
        self.inputs += 1;
        self.step(clock, |outbox| {
            if let Some(auditor) = machine.auditor() {
                auditor.unreadable(record, outbox);
            }
        });
    }

    pub(super) fn recovered(&mut self, machine: &mut impl Machine, clock: &dyn Clock, partition: u32) {
        self.step(clock, |outbox| machine.recovered(partition, outbox));
    }

    pub(super) fn elect(&mut self, machine: &mut impl Machine, clock: &dyn Clock) {
        if let Some(writer) = machine.sole_writer() {
            self.step(clock, |outbox| writer.elect(outbox));
        }
    }

    pub(super) fn completed(
        &mut self,
        machine: &mut impl Machine,
        clock: &dyn Clock,
        order: OrderId,
        outcome: EffectOutcome,
    ) {
        self.step(clock, |outbox| machine.completed(order, outcome, outbox));
    }

    /// Ticks if the machine wants it by now.
    pub(super) fn tick(&mut self, machine: &mut impl Machine, clock: &dyn Clock) {
        if machine.next_tick().is_some_and(|at| at <= clock.now()) {
            self.step(clock, |outbox| machine.tick(outbox));
        }
    }

    pub(super) fn call<M: Machine>(&mut self, machine: &mut M, clock: &dyn Clock, call: Call<M, R>) {
        let (from, changed) = (self.appends.len(), self.changed);
        let reply = self.step(clock, |outbox| call(machine, outbox));
        self.changed = changed || self.appends.len() > from;
        self.replies.push((from..self.appends.len(), reply));
    }

    /// The callers with the positions of what they wrote; `positions` are those of `appends`.
    pub(super) fn replies(&mut self, positions: &[Position]) -> Vec<(Vec<Position>, R)> {
        let of = |(range, reply): (Range<usize>, R)| {
            let written = positions.get(range).map(<[Position]>::to_vec).unwrap_or_default();
            (written, reply)
        };
        std::mem::take(&mut self.replies).into_iter().map(of).collect()
    }
}
