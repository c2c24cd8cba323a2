//! What a driver asks for waits, while other things happen.

use kbnt_application::driver::Command;

use super::appends::Batch;
use crate::node::Node;
use crate::plan::clients::Ticket;
use crate::process::Process;
use crate::world::World;

/// What a driver has asked for, and is answered when the scheduler wants it.
pub(crate) enum Request {
    /// It gets into the log bit by bit.
    Append(Batch),
    Other(Command<Node, Ticket>),
}

impl Process {
    /// Whether it waits for its turn to write.
    pub(crate) fn stands_by(&self) -> bool {
        matches!(self.request, Some(Request::Other(Command::AwaitTurn)))
    }
}

impl World {
    /// A driver asks for something. It is done at once, or later: that it is a process's turn to write it always hears later.
    pub(crate) fn request(&mut self, id: usize, asked: Command<Node, Ticket>) -> Result<(), String> {
        let at_once = |world: &mut Self| world.resting || !world.rng.chance(world.plan.faults.slow);
        if !matches!(asked, Command::AwaitTurn) && at_once(self) {
            return self.perform(id, asked);
        }
        self.processes[id].request = Some(Request::Other(asked));
        Ok(())
    }

    /// What a driver waits for is done, unless that is an append.
    pub(crate) fn perform_request(&mut self, id: usize) -> Result<(), String> {
        let waiting = &mut self.processes[id].request;
        match waiting.take_if(|request| matches!(request, Request::Other(_))) {
            Some(Request::Other(asked)) => self.perform(id, asked),
            _ => Ok(()),
        }
    }
}
