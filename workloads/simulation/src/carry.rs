//! Carries events to the drivers, and does what they ask for.

use kbnt_application::Service;
use kbnt_application::driver::{Command, Event};

use crate::faults::readers::Most;
use crate::node::Node;
use crate::plan::clients::{Call, Ticket};
use crate::process::Process;
use crate::world::World;

impl Process {
    /// A step of the driver.
    pub(crate) fn tell(&mut self, event: Event<'_, Node, Ticket>) {
        self.idle = None;
        self.driver.step(event);
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
        active |= before.output && process.follow(log, most.follow);
        active |= process.hear();
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
        active |= process.request.is_some() && !process.stands_by();
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
                Command::Start(attempt, effect) => self.start(id, attempt, effect)?,
                Command::Answer(ticket, _) => self.answered(id, ticket, true),
                Command::Refuse(ticket, _) => self.answered(id, ticket, false),
                Command::Keep(snapshot) => self.keep(id, *snapshot),
                Command::Close(_) => process.readers.scan = None,
                Command::Finish(outcome) => self.finished(id, outcome)?,
                Command::Append(appends) => process.send(appends)?,
                asked => self.request(id, asked)?,
            }
        }
        Ok(())
    }

    /// What a process has asked for is done.
    pub(crate) fn perform(&mut self, id: usize, asked: Command<Node, Ticket>) -> Result<(), String> {
        let Self { processes, log, .. } = self;
        let process = &mut processes[id];
        match asked {
            Command::Bounds(of) => process.tell(Event::Bounds(&log.bounds(&of))),
            Command::Open(reader, from) => {
                process.check_beginning(reader, log, &self.plan)?;
                process.open(log, reader, from);
            }
            Command::Join => {
                process.check_member(log, &self.plan)?;
                process.tell(Event::Joined);
            }
            Command::Load(before) => self.load(id, before),
            Command::Contradict(topic, fault) => process.contradict(topic, fault),
            Command::AwaitTurn => process.tell(Event::Turn),
            Command::Commit(commits) => self.commit(id, &commits),
            Command::Leave => self.leave(id),
            // All others are done at once.
            _ => {}
        }
        self.carry(id)
    }
}
