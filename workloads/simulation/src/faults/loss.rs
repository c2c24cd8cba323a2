//! At the end of a run, when all else is checked, records of an event store are lost: nobody may decide on what is left.

use kbnt_application::driver::Event;
use kbnt_application::intact::{Damage, Fault};
use kbnt_application::ports::LogError;
use kbnt_application::{Position, Service, Topic};

use super::clocks::ProcessClock;
use super::volumes::Mount;
use crate::log::{Log, Place};
use crate::process::Process;
use crate::world::World;

/// Rounds in which a process could decide.
const ROUNDS: usize = 50;

impl World {
    /// The first records of a partition are lost, and what the groups have committed for it; then everybody starts anew.
    pub(crate) fn lose(&mut self) -> Result<(), String> {
        let stores = Topic::ALL.into_iter().filter(|topic| topic.is_event_store());
        let places: Vec<Place> = stores
            .flat_map(|topic| (0..topic.partitions()).map(move |partition| (topic, partition)))
            .filter(|place| !self.log.kept(*place).is_empty())
            .collect();
        let Some(place) = self.rng.pick(&places).copied() else { return Ok(()) };
        let kept = self.log.kept(place);
        let first = self.rng.between(kept.first + 1, kept.end);
        self.say(|| format!("{}/{} is lost up to {first}", place.0.name(), place.1));
        self.log.first.insert(place, first);
        self.log.lost = true;
        for id in 0..self.processes.len() {
            self.processes[id].dead = true;
            self.groups.leave(id);
        }
        self.volumes.lose();
        for service in Service::ALL {
            self.groups.expire(service, place);
            // The writer's own records tell it where it stopped; where that is behind the loss, nothing is missing.
            let reads_again = service.inputs().contains(&place.0) && service != Service::Inventory;
            if service.output() == place.0 || reads_again {
                self.refuses(service, place)?;
            }
        }
        Ok(())
    }

    /// A process of `service` starts, and must not decide.
    fn refuses(&mut self, service: Service, place: Place) -> Result<(), String> {
        let before = self.log.len();
        let id = self.processes.len();
        let mount = if service == Service::Inventory { self.mount()? } else { Mount::default() };
        let (clock, mount) = (ProcessClock::new(self.now.clone(), 0), mount.without_archive());
        self.processes.push(Process::new(id, service, &self.plan, clock, mount));
        self.begin(id)?;
        for _ in 0..ROUNDS {
            self.assign(service);
            self.rest(id)?;
        }
        let decided = self.log.len() != before || !self.processes[id].dead;
        let name = service.name();
        if decided {
            Err(format!("{name} goes on although {}/{} was cut", place.0.name(), place.1))
        } else {
            Ok(())
        }
    }
}

/// Why a service must not decide that goes on at these positions.
pub(crate) fn damaged(
    log: &Log,
    service: Service,
    from: impl IntoIterator<Item = Position>,
) -> Option<LogError> {
    let fault = |at: Position| {
        let kept = log.kept((at.topic, at.partition));
        Some(damage(service, at.topic, kept.passed_over(at).err()?))
    };
    from.into_iter().find_map(fault)
}

/// How a service says that a topic is not what it was.
fn damage(service: Service, topic: Topic, fault: Fault) -> LogError {
    LogError::Damaged(Damage { service, topic, fault })
}

impl Process {
    /// The log contradicts what is known of it, and nobody says that it may decide nevertheless.
    pub(crate) fn contradict(&mut self, topic: Topic, fault: Fault) {
        self.tell(Event::Contradicted(Err(damage(self.service, topic, fault))));
    }
}
