//! All faults are over: things come to rest.

use std::sync::atomic::Ordering;

use kbnt_application::Machine as _;
use kbnt_application::Service;
use kbnt_application::driver::Command;

use crate::faults::archive::Trouble;
use crate::faults::readers::Most;
use crate::faults::requests::Request;
use crate::plan::Faults;
use crate::process::Process;
use crate::world::World;

/// Rounds after which a world that has not come to rest never will.
const ROUNDS: u32 = 20_000;

const ALL: Most = Most { follow: u64::MAX, inputs: 50 };

impl World {
    pub(crate) fn drain(&mut self) -> Result<(), String> {
        self.say(|| "all faults are over".to_owned());
        self.plan.faults = Faults::default();
        self.outside.away = false;
        for process in &mut self.processes {
            process.clock.set(0);
        }
        for archive in self.volumes.archives() {
            archive.set_trouble(Trouble::None);
        }
        self.put_clocks_right()?;
        self.resting = true;
        while !self.late.is_empty() {
            self.land_late()?;
        }
        for _ in 0..ROUNDS {
            self.step += 1;
            if !self.settle_down()? && !self.next_hour()? {
                return Ok(());
            }
        }
        Err("it does not come to rest".into())
    }

    /// Everybody does what can be done now; false if there was nothing.
    fn settle_down(&mut self) -> Result<bool, String> {
        let mut active = false;
        for service in Service::ALL {
            if self.alive(service).count() == 0 {
                self.spawn(service)?;
                active = true;
            }
            active |= self.tell(service);
            active |= self.assign(service);
        }
        for id in 0..self.processes.len() {
            active |= self.rest(id)?;
        }
        while !self.flights.is_empty() {
            self.fly()?;
            active = true;
        }
        if !self.clients.is_done() {
            self.ask()?;
            active = true;
        }
        Ok(active)
    }

    pub(crate) fn rest(&mut self, id: usize) -> Result<bool, String> {
        if self.processes[id].dead {
            return Ok(false);
        }
        match &self.processes[id].request {
            Some(Request::Append(_)) => self.land_all(id).map(|()| true),
            // Two writers stand by for each other where one is at work.
            Some(Request::Other(Command::AwaitTurn)) if self.is_led(id) => self.work(id, ALL, None),
            Some(_) => self.perform_request(id).map(|()| true),
            None => self.work(id, ALL, None),
        }
    }

    /// Nothing is left to do now: time goes on to where there is. False if there never will be.
    fn next_hour(&mut self) -> Result<bool, String> {
        let next = self.processes.iter().filter_map(|process| Some((process.due()?, process.id))).min();
        match next {
            Some((next, id)) if next <= self.now() => {
                Err(format!("{} wants to go on and then does nothing", self.processes[id].name()))
            }
            Some((next, _)) => {
                self.now.store(next, Ordering::Relaxed);
                Ok(true)
            }
            None => {
                self.groups_are_complete()?;
                Ok(false)
            }
        }
    }

    fn groups_are_complete(&self) -> Result<(), String> {
        for service in Service::ALL.into_iter().filter(|service| *service != Service::Inventory) {
            for partition in 0..3 {
                let owner = self.groups.owner(service, partition).ok_or("a partition without an owner")?;
                if self.processes[owner].dead {
                    return Err(format!("partition {partition} of {} has a dead owner", service.name()));
                }
            }
        }
        Ok(())
    }
}

impl Process {
    /// At what true time it goes on by itself, in milliseconds: to tick, if it decides, or to end.
    fn due(&self) -> Option<i64> {
        let wants = self.driver.wants();
        if self.dead || self.request.is_some() {
            None
        } else if !self.driver.is_at_work() {
            i64::try_from(wants.wake?.as_millis()).ok()
        } else if wants.outcomes {
            let at = self.driver.machine().next_tick()?;
            Some(at.as_millis().saturating_sub(self.clock.skew()))
        } else {
            None
        }
    }
}
