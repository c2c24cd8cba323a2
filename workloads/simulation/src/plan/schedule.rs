//! What happens next: every choice of the run comes from the seed.

use kbnt_application::Service;
use kbnt_application::driver::Command;

use crate::Report;
use crate::faults::archive::DiskArchive;
use crate::faults::readers::Most;
use crate::faults::requests::Request;
use crate::world::World;

impl World {
    /// Lets things happen, then lets them come to rest, then checks everything.
    pub(crate) fn run(&mut self) -> Result<Report, String> {
        self.say(|| format!("{:#?}", self.plan));
        for service in Service::ALL {
            self.spawn(service)?;
        }
        let faults = self.plan.faults.clone();
        self.live(self.plan.steps)?;
        for _ in 0..self.plan.days {
            self.plan.faults = faults.clone();
            self.next_day();
            self.live(self.plan.steps / 4)?;
        }
        self.check()?;
        self.report.steps = self.step;
        self.report.records = self.log.len() as u64;
        self.report.recalled = self.volumes.archives().map(DiskArchive::recalled).sum();
        self.lose()?;
        Ok(self.report.clone())
    }

    /// So many things happen, and come to rest.
    fn live(&mut self, steps: u64) -> Result<(), String> {
        for _ in 0..steps {
            self.step += 1;
            self.happen()?;
        }
        self.drain()
    }

    /// One thing happens, and perhaps something goes wrong.
    fn happen(&mut self) -> Result<(), String> {
        match self.rng.below(100) {
            0..=63 => {
                let process = self.rng.index(self.processes.len());
                self.advance(process)?;
            }
            64..=75 => self.fly()?,
            76..=83 => self.pass_time(),
            84..=90 => self.ask()?,
            91..=93 => self.land_late()?,
            _ => self.manage()?,
        }
        self.go_wrong()
    }

    /// One process goes on by a bit.
    fn advance(&mut self, id: usize) -> Result<(), String> {
        let most = Most { follow: self.rng.below(30), inputs: 6 };
        match &self.processes[id].request {
            _ if self.processes[id].dead => Ok(()),
            Some(Request::Append(_)) => self.land_some(id),
            // A lease is lost now and then while its holder is at work.
            Some(Request::Other(Command::AwaitTurn)) if self.is_led(id) && !self.rng.chance(50) => {
                self.work(id, most, None).map(|_| ())
            }
            Some(_) => self.perform_request(id),
            None => self.work(id, most, None).map(|_| ()),
        }
    }

    /// Whether another process has the turn to write.
    pub(super) fn is_led(&self, id: usize) -> bool {
        self.alive(self.processes[id].service).any(|process| process.id != id && !process.stands_by())
    }
}
