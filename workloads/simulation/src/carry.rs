//! Carries events to the drivers, and does what they ask for.

use std::time::Duration;

use kbnt_application::driver::{Command, Event, Failure, Reader};
use kbnt_application::intact::Damage;
use kbnt_application::ports::{Clock as _, LogError};
use kbnt_application::{Machine as _, Service};

use crate::faults::appends::Batch;
use crate::faults::loss::damaged;
use crate::faults::readers::Most;
use crate::log::Log;
use crate::node::Node;
use crate::plan::clients::{Call, Ticket};
use crate::process::{Idle, Process, Request};
use crate::world::World;

impl Process {
    /// A step of the driver.
    pub(crate) fn tell(&mut self, event: Event<'_, Node, Ticket>) {
        self.idle = None;
        self.driver.step(event);
    }

    /// It had nothing to do: so it is until there is something to read, its clock is set, or it wants to tick.
    fn rest(&mut self) {
        if self.driver.is_at_work() {
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
        // A writer goes on with a snapshot where there is nothing else to do.
        if !active && (process.service != Service::Inventory || self.plan.snapshots.is_none()) {
            process.rest();
        }
        self.carry(id)?;
        let process = &mut self.processes[id];
        // Somebody takes over from one that has ended.
        active |= process.dead;
        active |= !matches!(process.request, None | Some(Request::Other(Command::AwaitTurn)));
        // A clock that is found to be right again, or a tick after which there is less in hand, may be all that has happened: now it
        // takes in what it did not before.
        if !active && (before.calls == 0 || before.input == Some(0)) {
            let wants = process.driver.wants();
            active = wants.calls > before.calls || (before.input == Some(0) && wants.input > Some(0));
            process.idle = process.idle.filter(|_| !active);
        }
        Ok(active)
    }

    /// Does what a driver has asked for. A request may wait.
    pub(crate) fn carry(&mut self, id: usize) -> Result<(), String> {
        while let Some(command) = self.processes[id].driver.next_command() {
            let process = &mut self.processes[id];
            process.idle = None;
            match command {
                Command::Start(attempt, effect) => {
                    self.allow(id, &effect)?;
                    self.say(|| format!("{} does {effect:?}", self.processes[id].name()));
                    self.flights.start(id, attempt, effect);
                }
                Command::Answer(ticket, _) => self.answered(id, ticket, true),
                Command::Refuse(ticket, _) => self.answered(id, ticket, false),
                Command::Keep(snapshot) => {
                    let kept = self.keep(id, *snapshot);
                    self.processes[id].tell(Event::Kept(kept, Duration::ZERO));
                }
                Command::Close(_) => process.scan = None,
                Command::Finish(outcome) => self.finished(id, outcome)?,
                Command::Append(appends) => {
                    process.heeds_its_archive()?;
                    process.actions.writes(&appends)?;
                    process.request = Some(Request::Append(Batch::new(appends)));
                }
                Command::AwaitTurn => process.request = Some(Request::Other(command)),
                request => {
                    process.request = Some(Request::Other(request));
                    if self.resting || !self.rng.chance(self.plan.faults.slow) {
                        self.perform(id)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A driver has come to its end.
    fn finished(&mut self, id: usize, outcome: Result<(), Failure>) -> Result<(), String> {
        let name = self.processes[id].name();
        self.say(|| format!("{name} ends: {outcome:?}"));
        match outcome {
            Err(Failure::Broken(what)) => Err(format!("{name} is broken: {what}")),
            Ok(()) | Err(Failure::Fenced(_) | Failure::Log(_) | Failure::Archive(_)) => self.kill(id),
        }
    }

    /// What a process has asked for is done.
    pub(crate) fn perform(&mut self, id: usize) -> Result<(), String> {
        let Self { processes, log, .. } = self;
        let process = &mut processes[id];
        let Some(Request::Other(request)) =
            process.request.take_if(|request| matches!(request, Request::Other(_)))
        else {
            return Ok(());
        };
        let service = process.service;
        match request {
            Command::Ends(of) => process.tell(Event::Ends(&log.ends(&of))),
            Command::Open(reader, from) => {
                if reader == Reader::Input && process.unchecked {
                    process.unchecked = false;
                    crate::checks::memory::agree(process, log, &self.plan)?;
                }
                if let Some(damage) = damaged(log, service, from.iter().copied()) {
                    process.tell(Event::Failed(damage));
                } else {
                    let ends = log.ends(&from);
                    process.open(reader, from);
                    process.tell(Event::Opened(&ends));
                }
            }
            Command::Join => process.tell(Event::Joined),
            Command::Load(before) => {
                let loaded = self.load(id, before);
                self.processes[id].tell(Event::Loaded(loaded));
            }
            Command::Contradict(topic, fault) => {
                let damage = LogError::Damaged(Damage { service, topic, fault });
                process.tell(Event::Contradicted(Err(damage)));
            }
            Command::AwaitTurn => process.tell(Event::Turn),
            Command::Commit(commits) => {
                let outcome = self.commit(id, &commits);
                self.processes[id].tell(Event::Committed(outcome));
            }
            Command::Leave => {
                self.groups.leave(id);
                process.tell(Event::Left);
            }
            // All others are done at once.
            _ => {}
        }
        self.carry(id)
    }
}
