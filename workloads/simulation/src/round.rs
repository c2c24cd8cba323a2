//! One round of a process at work, as `infrastructure::runtime::drive` does it, up to the append.

use kbnt_application::ports::Fetched;
use kbnt_application::{Outbox, Topic};
use kbnt_domain::{Event, OrderId};

use crate::clients::Call;
use crate::log::{Log, Place, understood};
use crate::process::{Batch, Node, Process, Stage, admitted};
use crate::rng::Rng;

/// How much a round takes in at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) follow: u64,
    pub(crate) inputs: u64,
}

/// Follows the output topic; true once a process that caught up may join its group.
pub(crate) fn follow(process: &mut Process, log: &Log, most: u64) -> bool {
    let places: Vec<Place> = process.output_places().collect();
    let Some(tail) = &mut process.tail else { return true };
    let mut left = most;
    for place in places {
        let next = &mut tail.next[place.1 as usize];
        while left > 0
            && let Some(record) = log.read(place, *next)
        {
            *next += 1;
            left -= 1;
            if let Some(record) = understood(record).filter(|record| admitted(&mut tail.fence, record)) {
                process.node.machine().follow(record);
            }
        }
    }
    match &process.stage {
        Stage::CatchingUp(ends) => tail.next.iter().zip(ends).all(|(next, end)| next >= end),
        _ => true,
    }
}

/// The step of a caller; false if it has no effect.
pub(crate) fn call(node: &mut Node, call: &Call, outbox: &mut Outbox) -> bool {
    match (node, call) {
        (Node::Order(_), Call::Place { order, basket, .. }) => {
            kbnt_application::order::place_order(*order, basket.clone(), outbox);
            true
        }
        (Node::Order(_), Call::Cancel { order }) => {
            kbnt_application::order::request_cancel(*order, outbox);
            true
        }
        (Node::User(machine), Call::Register { registration }) => {
            machine.register(registration.clone(), outbox);
            true
        }
        (Node::User(machine), Call::Status { user, status }) => {
            machine.change_status(user, *status, outbox).is_ok()
        }
        (Node::Inventory(machine), Call::Declare { declaration, .. }) => {
            machine.declare(declaration, outbox).is_ok()
        }
        _ => false,
    }
}

impl Process {
    /// Steps the machine on whatever is there, and leaves the batch on its way. True if anything was done.
    pub(crate) fn round(
        &mut self,
        log: &Log,
        now: i64,
        rng: &mut Rng,
        most: Most,
        asked: Option<Call>,
    ) -> bool {
        let off = self.look_at_the_clock(now);
        let mut batch = Batch::new(self.clock(now));
        self.node.machine().set_clock(batch.now);
        let before = self.tail.as_ref().map(|tail| tail.next.clone());
        follow(self, log, most.follow);
        let mut active = before != self.tail.as_ref().map(|tail| tail.next.clone());
        if off {
            self.batch = Some(batch);
            return active;
        }
        while let Some((order, outcome)) = self.completions.pop_front() {
            self.step(&mut batch, |node, outbox| node.machine().completed(order, outcome, outbox));
            active = true;
        }
        if self.node.machine().next_tick().is_some_and(|at| at <= batch.now) {
            self.step(&mut batch, |node, outbox| node.machine().tick(outbox));
            active = true;
        }
        if let Some(asked) = asked {
            active = true;
            let mut effective = false;
            self.step(&mut batch, |node, outbox| effective = call(node, &asked, outbox));
            if effective {
                batch.calls.push(asked);
            }
        }
        active |= self.read(log, rng, most.inputs, &mut batch);
        batch.send();
        self.batch = Some(batch);
        active
    }

    fn step(&mut self, batch: &mut Batch, step: impl FnOnce(&mut Node, &mut Outbox)) {
        let mut outbox = Outbox::new(self.service, batch.now);
        step(&mut self.node, &mut outbox);
        let (appends, effects) = outbox.take();
        for append in &appends {
            if let Event::PaymentRefunded(e) = &append.message.event {
                self.refunded.insert(e.order);
            }
        }
        batch.appends.extend(appends);
        batch.effects.extend(effects);
    }

    /// Handles some records of one input partition.
    fn read(&mut self, log: &Log, rng: &mut Rng, most: u64, batch: &mut Batch) -> bool {
        let ready: Vec<Place> = self
            .inputs
            .iter()
            .filter(|(place, input)| log.end(**place) > input.next)
            .map(|(place, _)| *place)
            .collect();
        let Some(place) = rng.pick(&ready).copied() else { return false };
        for _ in 0..rng.between(1, most) {
            let Some(input) = self.inputs.get_mut(&place) else { break };
            let Some(fetched) = log.read(place, input.next) else { break };
            input.next += 1;
            let record = match fetched {
                Fetched::Record(record) => record,
                Fetched::Unreadable(record) => {
                    self.step(batch, |node, outbox| node.machine().unreadable(record, outbox));
                    continue;
                }
            };
            let counts = admitted(&mut self.fence, record);
            if place.0 == Topic::InventoryEvents {
                let note = self.fence.note(place.1);
                if input.notes.last().is_none_or(|(_, last)| *last != note) {
                    input.notes.push((input.next, note));
                }
            }
            if counts {
                self.step(batch, |node, outbox| node.machine().handle(record, outbox));
            }
        }
        true
    }

    /// Some partition is somebody else's.
    pub(crate) fn revoke(&mut self, partition: u32) {
        self.node.machine().revoked(partition);
        self.inputs.retain(|(_, number), _| *number != partition);
        self.lost.remove(&partition);
        self.forget();
    }

    /// What it did for orders of partitions that it had before says nothing about what it may do now.
    pub(crate) fn forget(&mut self) {
        self.charging.clear();
        self.unknown.clear();
        self.refunded.clear();
    }

    /// What an attempt at the gateway taught this process.
    pub(crate) fn heard(&mut self, order: OrderId, charge: bool, unknown: bool) {
        if !unknown {
            self.unknown.remove(&order);
        } else if charge && self.charging.contains(&order) {
            self.unknown.insert(order);
        }
    }
}
