//! Carries events to the drivers, and does what they ask for.

use std::time::Duration;

use kbnt_application::driver::{Command, Event, Failure, Reader};
use kbnt_application::intact::Damage;
use kbnt_application::inventory::Image;
use kbnt_application::ports::{Assignment, Clock as _, Commit, Fetched, LogError, Snapshot, SnapshotError};
use kbnt_application::{Effect, Machine as _, Outbox, PaymentRequest, Position, Service};
use kbnt_domain::Event as Record;

use crate::log::{Log, Place};
use crate::node::Node;
use crate::plan::clients::{Call, call};
use crate::process::{Batch, Change, Idle, Process, Request, Ticket};
use crate::world::World;

/// How many snapshots a store keeps.
const KEPT: usize = 3;

/// How much a process takes in at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) follow: u64,
    pub(crate) inputs: u64,
}

impl Process {
    /// A step of the driver.
    pub(crate) fn tell(&mut self, event: Event<'_, Node, Ticket>) {
        let of_before = matches!(event, Event::Appended(_) | Event::Committed(_) | Event::Kept(..));
        // While a batch is on its way nothing is decided, whatever it hears of.
        if !of_before && !matches!(self.request, Some(Request::Append(_))) {
            self.decided = self.clock.now();
        }
        self.idle = None;
        self.driver.step(event);
    }

    /// It had nothing to do: so it is until there is something to read, its clock is set, or it wants to tick. A sole writer may go on
    /// with a snapshot all the same.
    fn rest(&mut self) {
        if self.driver.is_at_work() && self.service != Service::Inventory {
            self.idle = Some(Idle { ahead: self.clock.ahead(), tick: self.driver.machine().next_tick() });
        }
    }

    /// Whether there is still nothing to do.
    fn rests(&self, log: &Log) -> bool {
        let Some(Idle { ahead, tick }) = self.idle else { return false };
        self.changes.is_empty()
            && self.outcomes.is_empty()
            && self.clock.ahead() == ahead
            && self.output.iter().all(|at| log.end((at.topic, at.partition)) == at.offset)
            && self.inputs.iter().all(|(place, next)| log.end(*place) == *next)
            && tick.is_none_or(|tick| self.clock.now() < tick)
    }

    /// Reads on in the output topic; whether there was anything.
    fn follow(&mut self, log: &Log, most: u64) -> bool {
        let mut left = most;
        let mut any = false;
        for index in 0..self.output.len() {
            let at = self.output[index];
            let records = log.slice((at.topic, at.partition), at.offset, left);
            if !records.is_empty() && self.driver.wants().output {
                left -= records.len() as u64;
                self.output[index].offset += records.len() as u64;
                any = true;
                self.idle = None;
                self.driver.step(Event::Records(Reader::Output, records, &self.output));
            }
        }
        any
    }
}

impl World {
    /// A process that waits for nothing takes in what is there, and perhaps a call; whether there was anything.
    pub(crate) fn work(&mut self, id: usize, most: Most, asked: Option<Call>) -> Result<bool, String> {
        let Self { processes, log, .. } = self;
        let process = &mut processes[id];
        if asked.is_none() && process.rests(log) {
            return Ok(false);
        }
        let before = process.driver.wants();
        if before.scan {
            self.scan(id, most);
            return self.carry(id).map(|()| true);
        }
        let mut active = asked.is_some();
        if before.output {
            active |= process.follow(log, most.follow);
        }
        while !process.outcomes.is_empty()
            && process.driver.wants().outcomes
            && let Some((attempt, order, outcome)) = process.outcomes.pop_front()
        {
            process.tell(Event::Outcome(attempt, Some((order, outcome))));
            active = true;
        }
        if let Some(asked) = asked {
            self.call(id, asked);
        }
        let takes = if active { self.processes[id].driver.wants().input } else { before.input };
        active |= takes.is_some_and(|takes| self.read(id, most.inputs, takes));
        let process = &mut self.processes[id];
        if process.driver.wants().wake.is_some() {
            process.tell(Event::Flush);
        }
        if !active {
            process.rest();
        }
        self.carry(id)?;
        let process = &mut self.processes[id];
        active |= !matches!(process.request, None | Some(Request::Turn));
        // A clock that is found to be right again, or a tick after which there is less in hand, may be all that has happened: now it
        // takes in what it did not before.
        if !active && (before.calls == 0 || before.input == Some(0)) {
            let wants = process.driver.wants();
            active = wants.calls > before.calls || (before.input == Some(0) && wants.input > Some(0));
            process.idle = process.idle.filter(|_| !active);
        }
        Ok(active)
    }

    /// Hands over a call. One that the driver does not take any more is not answered.
    fn call(&mut self, id: usize, asked: Call) {
        self.tickets += 1;
        let (number, process) = (self.tickets, &mut self.processes[id]);
        process.calls.insert(number, asked.clone());
        if process.driver.wants().calls > 0 {
            process.tell(Event::Call(Box::new(move |node: &mut Node, outbox: &mut Outbox| Ticket {
                number,
                effective: call(node, &asked, outbox),
            })));
        }
    }

    /// Some records of the partition that a process scans.
    fn scan(&mut self, id: usize, most: Most) {
        let most = self.rng.between(1, most.follow.max(1));
        let Self { processes, log, .. } = self;
        let process = &mut processes[id];
        let Some(at) = &mut process.scan else { return };
        let records = log.slice((at.topic, at.partition), at.offset, most);
        at.offset += records.len() as u64;
        let next = [*at];
        process.tell(Event::Records(Reader::Scan, records, &next));
    }

    /// What the coordinator has for a process, or some records of one of its input partitions.
    fn read(&mut self, id: usize, most: u64, takes: usize) -> bool {
        let Self { processes, log, rng, .. } = self;
        let process = &mut processes[id];
        if let Some(change) = process.changes.pop_front() {
            self.change(id, change);
            return true;
        }
        let ready = |(place, next): &(&Place, &u64)| takes > 0 && log.end(**place) > **next;
        let Some((&place, &next)) = rng.pick_of(process.inputs.iter().filter(ready)) else {
            process.driver.step(Event::Records(Reader::Input, &[], &[]));
            return false;
        };
        let records = log.slice(place, next, rng.between(1, most).min(takes as u64));
        process.inputs.insert(place, next + records.len() as u64);
        process.tell(Event::Records(Reader::Input, records, &[]));
        true
    }

    /// A member hears what is its own now.
    fn change(&mut self, id: usize, change: Change) {
        let process = &mut self.processes[id];
        process.actions.forget();
        match change {
            Change::Revoked(partitions) => {
                process.inputs.retain(|(_, partition), _| !partitions.contains(partition));
                process.tell(Event::Revoked(partitions.into_iter().collect()));
            }
            Change::Assigned(partitions) => {
                let mut assigned = Vec::new();
                for partition in partitions {
                    let mut committed = Vec::new();
                    for place in process.places(partition) {
                        let commit = self.groups.committed(process.service, place);
                        let next = commit.as_ref().map_or(0, |commit| commit.next.offset);
                        process.inputs.insert(place, next);
                        committed.extend(commit);
                    }
                    assigned.push(Assignment { partition, committed, ..Assignment::default() });
                }
                let places = process.inputs.iter().map(|(place, next)| position(*place, *next));
                match damaged(&self.log, process.service, places) {
                    Some(damage) => process.tell(Event::Failed(damage)),
                    None => process.tell(Event::Assigned(assigned)),
                }
            }
        }
    }

    /// Does what a driver has asked for. A request may wait.
    pub(crate) fn carry(&mut self, id: usize) -> Result<(), String> {
        while let Some(command) = self.processes[id].driver.next_command() {
            let process = &mut self.processes[id];
            process.idle = None;
            match command {
                Command::Ends(of) => process.request = Some(Request::Ends(of)),
                Command::Open(reader, from) => process.request = Some(Request::Open(reader, from)),
                Command::Close(_) => process.scan = None,
                Command::Join => process.request = Some(Request::Join),
                Command::Load(before) => process.request = Some(Request::Load(before)),
                Command::Contradict(topic, fault) => {
                    process.request = Some(Request::Contradict(topic, fault));
                }
                Command::AwaitTurn => process.request = Some(Request::Turn),
                Command::Append(appends) => {
                    for append in appends.iter() {
                        if let Record::PaymentRefunded(refunded) = &append.message.event {
                            process.actions.refunded.insert(refunded.order);
                        }
                    }
                    process.request = Some(Request::Append(Batch::new(appends)));
                }
                Command::Commit(commits) => process.request = Some(Request::Commit(commits)),
                Command::Leave => process.request = Some(Request::Leave),
                Command::Start(attempt, effect) => {
                    self.allowed(&self.processes[id], &effect)?;
                    self.say(|| format!("{} does {effect:?}", self.processes[id].name()));
                    let actions = &mut self.processes[id].actions;
                    if let Effect::Payment(PaymentRequest::Charge { order, .. }) = &effect {
                        actions.charging.insert(*order);
                    }
                    self.flights.start(id, attempt, effect);
                }
                Command::Answer(ticket, _) => self.answered(id, ticket, true),
                Command::Refuse(ticket, _) => self.answered(id, ticket, false),
                Command::Keep(snapshot) => {
                    self.kept.push(*snapshot);
                    if self.kept.len() > KEPT {
                        self.kept.remove(0);
                    }
                    self.say(|| format!("{} keeps a snapshot", self.processes[id].name()));
                    self.processes[id].tell(Event::Kept(Ok(0), Duration::ZERO));
                }
                Command::Finish(outcome) => self.finished(id, outcome)?,
            }
            let waits = matches!(self.processes[id].request, None | Some(Request::Append(_) | Request::Turn));
            if !waits && (self.resting || !self.rng.chance(self.plan.faults.slow)) {
                self.perform(id)?;
            }
        }
        Ok(())
    }

    fn answered(&mut self, id: usize, ticket: Ticket, confirmed: bool) {
        let Some(call) = self.processes[id].calls.remove(&ticket.number) else { return };
        match (confirmed, ticket.effective) {
            (true, true) => self.clients.confirmed(&call),
            (true, false) => {}
            (false, _) => self.clients.unanswered(&call, &mut self.rng),
        }
    }

    /// A driver has come to its end.
    fn finished(&mut self, id: usize, outcome: Result<(), Failure>) -> Result<(), String> {
        let name = self.processes[id].name();
        self.say(|| format!("{name} ends: {outcome:?}"));
        match outcome {
            Err(Failure::Broken(what)) => Err(format!("{name} is broken: {what}")),
            Ok(()) | Err(Failure::Fenced(_) | Failure::Log(_)) => self.kill(id),
        }
    }

    /// What a process has asked for is done.
    pub(crate) fn perform(&mut self, id: usize) -> Result<(), String> {
        let Some(request) = self.processes[id].request.take() else { return Ok(()) };
        let Self { processes, log, groups, .. } = self;
        let process = &mut processes[id];
        let service = process.service;
        let ends = |of: &[Position], log: &Log| -> Vec<Position> {
            of.iter().map(|at| Position { offset: log.end((at.topic, at.partition)), ..*at }).collect()
        };
        match request {
            Request::Ends(of) => process.tell(Event::Ends(&ends(&of, log))),
            Request::Open(reader, from) => {
                if reader == Reader::Input && process.restored {
                    process.restored = false;
                    crate::checks::snapshots::agree(process, log, &self.plan)?;
                }
                let ends = ends(&from, log);
                if let Some(damage) = damaged(log, service, from.iter().copied()) {
                    process.tell(Event::Failed(damage));
                } else {
                    process.open(reader, from);
                    process.tell(Event::Opened(&ends));
                }
            }
            Request::Join => process.tell(Event::Joined),
            Request::Load(before) => {
                let loaded = self.load(id, before);
                self.processes[id].tell(Event::Loaded(loaded.map(|loaded| loaded.map(Box::new))));
            }
            Request::Contradict(topic, fault) => {
                let damage = LogError::Damaged(Damage { service, topic, fault });
                process.tell(Event::Contradicted(Err(damage)));
            }
            Request::Turn => process.tell(Event::Turn),
            Request::Commit(commits) => {
                let lost = self.rng.chance(self.plan.faults.lost_commit);
                let noted = !self.rng.chance(self.plan.faults.lost_note);
                let outcome = if lost { Ok(()) } else { commit(groups, service, id, &commits, noted) };
                process.tell(Event::Committed(outcome));
            }
            Request::Leave => {
                self.groups.leave(id);
                process.tell(Event::Left);
            }
            Request::Append(batch) => process.request = Some(Request::Append(batch)),
        }
        self.carry(id)
    }

    /// The snapshot before so many newer ones; now and then one is damaged.
    fn load(&mut self, id: usize, before: usize) -> Option<Result<Snapshot<Image>, SnapshotError>> {
        let at = self.kept.len().checked_sub(before + 1)?;
        if self.rng.chance(250) {
            return Some(Err(SnapshotError::Damaged("by the seed")));
        }
        let snapshot = self.kept.get(at)?.clone();
        self.processes[id].restored = true;
        self.say(|| format!("{} begins with {:?}", self.processes[id].name(), snapshot.folded));
        Some(Ok(snapshot))
    }
}

/// Notes offsets, if the coordinator still takes them from this process.
fn commit(
    groups: &mut crate::groups::Groups,
    service: Service,
    process: usize,
    commits: &[Commit],
    noted: bool,
) -> Result<(), LogError> {
    for Commit { next, note } in commits {
        let note = if noted { note.clone() } else { String::new() };
        if !groups.commit(service, process, Commit { next: *next, note }) {
            return Err(LogError::Unavailable("the partition is somebody else's".to_owned()));
        }
    }
    Ok(())
}

const fn position((topic, partition): Place, offset: u64) -> Position {
    Position { topic, partition, offset }
}

/// Why a service must not decide that goes on at these positions.
fn damaged(log: &Log, service: Service, from: impl IntoIterator<Item = Position>) -> Option<LogError> {
    let fault = |at: Position| {
        let fault = log.bounds((at.topic, at.partition)).passed_over(at).err()?;
        Some(LogError::Damaged(Damage { service, topic: at.topic, fault }))
    };
    from.into_iter().find_map(fault)
}

/// The record, if it can be understood.
pub(crate) fn understood(fetched: &Fetched) -> Option<&kbnt_application::Delivered> {
    match fetched {
        Fetched::Record(record) => Some(record),
        Fetched::Unreadable(_) => None,
    }
}
