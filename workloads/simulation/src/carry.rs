//! Carries events to the drivers, and does what they ask for.

use std::time::Duration;

use kbnt_application::driver::{Command, Event, Failure, Reader};
use kbnt_application::intact::Damage;
use kbnt_application::inventory::Image;
use kbnt_application::ports::{Assignment, Commit, Fetched, LogError, Snapshot, SnapshotError};
use kbnt_application::{Effect, Outbox, PaymentRequest, Position, Service};
use kbnt_domain::Event as Record;

use crate::log::{Log, Place};
use crate::node::Node;
use crate::plan::clients::{Call, call};
use crate::process::{Batch, Change, Process, Request, Ticket};
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
                self.driver.step(Event::Records(Reader::Output, records, &self.output));
            }
        }
        any
    }
}

impl World {
    /// A process that waits for nothing takes in what is there, and perhaps a call; whether there was anything.
    pub(crate) fn work(&mut self, id: usize, most: Most, asked: Option<Call>) -> Result<bool, String> {
        let mut active = asked.is_some();
        let Self { processes, log, .. } = self;
        let process = &mut processes[id];
        let wanted = process.driver.wants();
        if wanted.scan {
            self.scan(id, most);
            return self.carry(id).map(|()| true);
        }
        if wanted.output {
            active |= process.follow(log, most.follow);
        }
        while process.driver.wants().outcomes
            && let Some((attempt, order, outcome)) = process.outcomes.pop_front()
        {
            process.driver.step(Event::Outcome(attempt, Some((order, outcome))));
            active = true;
        }
        if let Some(asked) = asked {
            self.call(id, asked);
        }
        active |= self.read(id, most.inputs);
        let process = &mut self.processes[id];
        if process.driver.wants().wake.is_some() {
            process.driver.step(Event::Flush);
        }
        self.carry(id)?;
        let process = &self.processes[id];
        let asks = !matches!(process.request, None | Some(Request::Turn));
        // A clock that is found to be right again, or a tick after which there is less in hand, may be all that has happened: now it
        // takes in what it did not before.
        let wants = process.driver.wants();
        let takes_more =
            (wanted.calls == 0 && wants.calls > 0) || (wanted.input == Some(0) && wants.input > Some(0));
        Ok(active || asks || takes_more)
    }

    /// Hands over a call. One that the driver does not take any more is not answered.
    fn call(&mut self, id: usize, asked: Call) {
        self.tickets += 1;
        let (number, process) = (self.tickets, &mut self.processes[id]);
        process.calls.insert(number, asked.clone());
        if process.driver.wants().calls > 0 {
            process.driver.step(Event::Call(Box::new(move |node: &mut Node, outbox: &mut Outbox| Ticket {
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
        process.driver.step(Event::Records(Reader::Scan, records, &next));
    }

    /// What the coordinator has for a process, or some records of one of its input partitions.
    fn read(&mut self, id: usize, most: u64) -> bool {
        let Self { processes, log, rng, .. } = self;
        let process = &mut processes[id];
        let Some(takes) = process.driver.wants().input else { return false };
        if let Some(change) = process.changes.pop_front() {
            self.change(id, change);
            return true;
        }
        let ready = |(place, next): (&Place, &u64)| (log.end(*place) > *next).then_some(*place);
        let ready: Vec<Place> =
            if takes > 0 { process.inputs.iter().filter_map(ready).collect() } else { Vec::new() };
        let Some(place) = rng.pick(&ready).copied() else {
            process.driver.step(Event::Records(Reader::Input, &[], &[]));
            return false;
        };
        let most = rng.between(1, most).min(takes as u64);
        let Some(next) = process.inputs.get_mut(&place) else { return false };
        let records = log.slice(place, *next, most);
        *next += records.len() as u64;
        process.driver.step(Event::Records(Reader::Input, records, &[]));
        true
    }

    /// A member hears what is its own now.
    fn change(&mut self, id: usize, change: Change) {
        let process = &mut self.processes[id];
        process.actions.forget();
        match change {
            Change::Revoked(partitions) => {
                process.inputs.retain(|(_, partition), _| !partitions.contains(partition));
                process.driver.step(Event::Revoked(partitions.into_iter().collect()));
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
                    Some(damage) => process.driver.step(Event::Failed(damage)),
                    None => process.driver.step(Event::Assigned(assigned)),
                }
            }
        }
    }

    /// Does what a driver has asked for. A request may wait.
    pub(crate) fn carry(&mut self, id: usize) -> Result<(), String> {
        while let Some(command) = self.processes[id].driver.next_command() {
            let process = &mut self.processes[id];
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
                        if let Some(Record::PaymentRefunded(refunded)) = append.message.event.business() {
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
                    self.processes[id].driver.step(Event::Kept(Ok(0), Duration::ZERO));
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
            Request::Ends(of) => process.driver.step(Event::Ends(&ends(&of, log))),
            Request::Open(reader, from) => {
                if reader == Reader::Input && process.restored {
                    process.restored = false;
                    crate::checks::snapshots::agree(process, log, &self.plan)?;
                }
                let ends = ends(&from, log);
                if let Some(damage) = damaged(log, service, from.iter().copied()) {
                    process.driver.step(Event::Failed(damage));
                } else {
                    process.open(reader, from);
                    process.driver.step(Event::Opened(&ends));
                }
            }
            Request::Join => process.driver.step(Event::Joined),
            Request::Load(before) => {
                let loaded = self.load(id, before);
                self.processes[id].driver.step(Event::Loaded(loaded));
            }
            Request::Contradict(topic, fault) => {
                let damage = LogError::Damaged(Damage { service, topic, fault });
                process.driver.step(Event::Contradicted(Err(damage)));
            }
            Request::Turn => process.driver.step(Event::Turn),
            Request::Commit(commits) => {
                let lost = self.rng.chance(self.plan.faults.lost_commit);
                let noted = !self.rng.chance(self.plan.faults.lost_note);
                let outcome = if lost { Ok(()) } else { commit(groups, service, id, &commits, noted) };
                process.driver.step(Event::Committed(outcome));
            }
            Request::Leave => {
                self.groups.leave(id);
                process.driver.step(Event::Left);
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
    for commit in commits {
        let note = if noted { commit.note.clone() } else { String::new() };
        if !groups.commit(service, process, Commit { note, ..commit.clone() }) {
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
