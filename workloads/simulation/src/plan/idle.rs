//! Whoever has nothing to do is passed over until there is something.

use kbnt_application::Machine as _;
use kbnt_application::ports::Clock as _;
use kbnt_domain::Timestamp;

use crate::log::Log;
use crate::process::Process;

/// What there was when a process had nothing to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// What its clock showed ahead of true time.
    ahead: i64,
    /// When it wants to tick.
    tick: Option<Timestamp>,
}

impl Process {
    /// It had nothing to do: so it is until there is something to read, its clock is set, or it wants to tick.
    pub(crate) fn rest(&mut self) {
        if self.driver.is_at_work() {
            self.idle = Some(Idle { ahead: self.clock.ahead(), tick: self.driver.machine().next_tick() });
        }
    }

    /// Whether there is still nothing to do.
    pub(crate) fn rests(&self, log: &Log) -> bool {
        let Some(Idle { ahead, tick }) = self.idle else { return false };
        self.member.changes.is_empty()
            && self.outcomes.is_empty()
            && self.clock.ahead() == ahead
            && self.readers.are_at_the_end(log)
            && tick.is_none_or(|tick| self.clock.now() < tick)
    }
}
