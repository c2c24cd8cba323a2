//! The end of a machine's work: what is in hand is finished, and the partitions are handed over.

use std::time::Duration;

use kbnt_domain::Span;

use super::inputs::Inputs;
use super::work::After;
use super::{Command, Driver, Failure, Stage};
use crate::machine::Machine;

/// How long an auditor may take in what is there, and how long it waits for any.
const LAST_RECORDS: Duration = Duration::from_secs(3);
pub(super) const LAST_WAIT: Span = Span::from_millis(100);

/// How long attempts under way may take to end.
const LAST_OUTCOMES: Duration = Duration::from_secs(3);

impl<M: Machine, R> Driver<M, R> {
    /// Begins to end, if it is to and waits for nothing that is in hand.
    pub(super) fn heed_stop(&mut self) -> Result<(), Failure> {
        if !self.stopping {
            return Ok(());
        }
        match self.stage {
            Stage::Begin(_) => self.finish(Ok(())),
            Stage::Ready | Stage::Assigning(_) => return self.end_work(),
            _ => {}
        }
        Ok(())
    }

    fn end_work(&mut self) -> Result<(), Failure> {
        self.core.status.ready = false;
        if self.settled_in && self.core.machine.auditor().is_some() {
            self.stage = Stage::Draining((self.core.stopwatch)() + LAST_RECORDS);
            return Ok(());
        }
        self.await_outcomes()
    }

    /// Waits for the attempts that are under way, and begins no more.
    pub(super) fn await_outcomes(&mut self) -> Result<(), Failure> {
        self.core.effects.drop_waiting();
        let deadline = (self.core.stopwatch)() + LAST_OUTCOMES;
        self.stage = Stage::LastOutcomes(deadline);
        self.last_batch_if_due(deadline)
    }

    pub(super) fn last_batch_if_due(&mut self, deadline: Duration) -> Result<(), Failure> {
        if !self.core.effects.is_idle() && (self.core.stopwatch)() < deadline {
            return Ok(());
        }
        if let Some(batch) = &mut self.core.batch {
            batch.effects.clear();
        }
        self.settle(After::Last)
    }

    /// The batch on its way is lost, or whoever starts next finds it. What it answered must not be committed.
    pub(super) fn given_up(&mut self) -> Result<(), Failure> {
        match &self.stage {
            Stage::Appending(_, After::Last | After::Election(_) | After::Elected(_)) => self.finish(Ok(())),
            Stage::Appending(..) => {
                self.core.inputs = Inputs::default();
                return self.await_outcomes();
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn leave(&mut self) {
        if self.core.machine.sole_writer().is_some() {
            self.finish(Ok(()));
        } else {
            self.stage = Stage::Leaving;
            self.core.command(Command::Leave);
        }
    }
}
