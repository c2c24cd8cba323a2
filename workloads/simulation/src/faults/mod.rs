//! What goes wrong, and how a platform puts it right.

pub(crate) mod flights;
pub(crate) mod gateway;
mod loss;
pub(crate) mod strays;

use kbnt_application::driver::Event as Happening;
use kbnt_application::ports::{Clock as _, LogError};
use kbnt_application::{Delivered, Machine as _, Outbox, Service, Topic};
use kbnt_domain::Timestamp;
use kbnt_domain::dead_letter::{Location, Resolution};
use kbnt_domain::event::{DeadLetterResolved, Event};

use crate::process::{Batch, Change, Process, Request};
use crate::world::World;

/// What a clock that is wrong at a start is ahead, in milliseconds: less than the window, so that no command is too old for it.
pub(crate) const WRONG: i64 = 3 * 3_600_000;

/// What clocks are set by, in milliseconds.
const SET_BY: [i64; 4] = [25 * 3_600_000, 3 * 3_600_000, -3 * 3_600_000, -25 * 3_600_000];

/// How many processes of a service the platform keeps up.
const fn wanted(service: Service) -> usize {
    match service {
        Service::Inventory => 1,
        _ => 2,
    }
}

fn location_of_letter(record: &Delivered) -> Option<Location> {
    match &record.message.event {
        Event::DeadLetterStored(letter) => Some(letter.location.clone()),
        _ => None,
    }
}

impl World {
    /// Perhaps something goes wrong.
    pub(crate) fn go_wrong(&mut self) -> Result<(), String> {
        if self.rng.chance(self.plan.faults.crash) {
            let id = self.rng.index(self.processes.len());
            self.fault(|world| world.kill(id))?;
        }
        if self.rng.chance(self.plan.faults.rebalance) {
            self.fault(|world| {
                world.move_partition();
                Ok(())
            })?;
        }
        if self.rng.chance(self.plan.faults.second_writer) && self.alive(Service::Inventory).count() < 3 {
            self.fault(|world| world.spawn(Service::Inventory))?;
        }
        if self.rng.chance(self.plan.faults.stop) {
            let id = self.rng.index(self.processes.len());
            self.fault(|world| world.stop(id))?;
        }
        if self.rng.chance(self.plan.faults.jump) {
            let (id, skew) = (self.rng.index(self.processes.len()), self.skew());
            self.report.faults += 1;
            if self.processes[id].clock.skew() != WRONG {
                self.processes[id].clock.drift(skew);
            }
        }
        if self.rng.chance(self.plan.faults.wrong_start) {
            self.put_clocks_right()?;
        }
        if self.rng.chance(self.plan.faults.set_clock) {
            self.fault(|world| {
                world.set_a_clock();
                Ok(())
            })?;
        }
        if self.rng.chance(self.plan.faults.gateway) {
            self.outside.away = !self.outside.away && self.rng.chance(600);
        }
        if self.rng.chance(self.plan.faults.rewind) {
            self.rewind();
        }
        if self.rng.chance(self.plan.faults.poison) {
            self.fault(|world| {
                world.spoil();
                Ok(())
            })?;
        }
        if self.rng.chance(self.plan.faults.stray) {
            self.fault(Self::stray)?;
        }
        Ok(())
    }

    /// Clocks that were wrong from the start are put right.
    pub(crate) fn put_clocks_right(&mut self) -> Result<(), String> {
        for id in 0..self.processes.len() {
            if self.processes[id].clock.skew() == WRONG {
                self.say(|| format!("the clock of {} is put right", self.processes[id].name()));
                let skew = self.skew();
                let process = &self.processes[id];
                process.clock.drift(skew);
                // Where the log says nothing of the time, what it showed at first is believed: a person starts it again.
                let decides = process.driver.machine().decides_by_time();
                if process.clock.set_by() == 0 && decides && process.clock.off_by().is_some() {
                    self.kill(id)?;
                }
            }
        }
        Ok(())
    }

    /// Somebody sets the clock of a process by hours, or puts it right again.
    fn set_a_clock(&mut self) {
        let id = self.rng.index(self.processes.len());
        let by = *self.rng.pick(&SET_BY).unwrap_or(&0);
        let clock = &self.processes[id].clock;
        clock.set(if clock.set_by() == 0 { by } else { 0 });
        self.say(|| {
            let process = &self.processes[id];
            format!("the clock of {} is off by {}", process.name(), process.clock.set_by())
        });
    }

    /// Something gets into the log that nobody understands, or a person sees to what is there.
    fn spoil(&mut self) {
        let letters: Vec<_> = self.log.topic(Topic::AuditLogs).filter_map(location_of_letter).collect();
        if let Some(location) = self.rng.pick(&letters).cloned()
            && self.rng.chance(400)
        {
            let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(self.now()));
            let (how, by, reason) = (Resolution::Discarded, "somebody".to_owned(), String::new());
            let resolved = DeadLetterResolved { location, how, replayed_to: None, by, reason };
            outbox.emit_named(&format!("resolved at step {}", self.step), resolved);
            for append in outbox.take().0 {
                let record = self.log.append(&append);
                self.say(|| format!("by hand: {}", crate::world::show(&record)));
            }
            return;
        }
        let topic = self.rng.pick(&Topic::ALL).copied().unwrap_or(Topic::OrderEvents);
        let partition = u32::try_from(self.rng.below(topic.partitions().into())).unwrap_or(0);
        let at = self.log.spoil((topic, partition), self.step.to_be_bytes().to_vec());
        self.say(|| format!("poison: {at}"));
    }

    fn fault(&mut self, fault: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.report.faults += 1;
        fault(self)
    }

    pub(crate) fn alive(&self, service: Service) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.service == service && !process.dead)
    }

    /// A process crashes. Of what it had sent to each partition, any first part gets in: at once, or later.
    pub(crate) fn kill(&mut self, id: usize) -> Result<(), String> {
        if self.processes[id].dead {
            return Ok(());
        }
        self.say(|| format!("{} is gone", self.processes[id].name()));
        self.groups.leave(id);
        self.flights.orphan(id);
        let process = &mut self.processes[id];
        process.dead = true;
        let request = process.request.take();
        for call in std::mem::take(&mut process.calls).into_values() {
            self.clients.unanswered(&call, &mut self.rng);
        }
        let Some(Request::Append(Batch { appends, landing, .. })) = request else { return Ok(()) };
        for (place, queue) in landing {
            let kept = self.rng.index(queue.len() + 1);
            let kept = queue.into_iter().take(kept).map(|index| appends[index].clone()).collect();
            self.late.push((place, kept));
            if !self.rng.chance(self.plan.faults.late) {
                let last = self.late.len() - 1;
                while !self.late[last].1.is_empty() {
                    self.land_late_at(last)?;
                }
            }
        }
        self.late.retain(|(_, queue)| !queue.is_empty());
        Ok(())
    }

    /// A process is told to stop.
    fn stop(&mut self, id: usize) -> Result<(), String> {
        let process = &mut self.processes[id];
        if process.dead || process.stopping {
            return Ok(());
        }
        process.stopping = true;
        // What it waits for to come to work it does not wait for any more.
        if !matches!(process.request, Some(Request::Append(_) | Request::Commit(_) | Request::Leave)) {
            process.request = None;
        }
        process.tell(Happening::Stop);
        self.say(|| format!("{} is to stop", self.processes[id].name()));
        self.carry(id)
    }

    /// What a process had sent is sent again, refused for good, or given up by one that is to stop, though some of it got in; whether
    /// it was.
    pub(crate) fn fail_append(&mut self, id: usize) -> Result<bool, String> {
        let again = self.rng.chance(self.plan.faults.retried_append / 4);
        let refused = !again && self.rng.chance(self.plan.faults.refused_append / 4);
        let process = &mut self.processes[id];
        let given_up = !again && process.stopping && self.rng.chance(self.plan.faults.stop * 10);
        let Some(Request::Append(batch)) = &mut process.request else { return Ok(false) };
        let failed = if again {
            *batch = Batch::new(batch.appends.clone());
            "again"
        } else if given_up {
            process.request = None;
            process.tell(Happening::GivenUp);
            "given up"
        } else if refused {
            process.request = None;
            process.tell(Happening::Failed(LogError::Refused("by the seed".to_owned())));
            "refused"
        } else {
            return Ok(false);
        };
        self.report.faults += 1;
        self.say(|| format!("the append of {}: {failed}", self.processes[id].name()));
        self.carry(id).map(|()| true)
    }

    /// Something that a crashed process had sent gets in after all.
    pub(crate) fn land_late(&mut self) -> Result<(), String> {
        if self.late.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(self.late.len());
        self.land_late_at(at)?;
        self.late.retain(|(_, queue)| !queue.is_empty());
        Ok(())
    }

    fn land_late_at(&mut self, at: usize) -> Result<(), String> {
        let Some(append) = self.late[at].1.pop_front() else { return Ok(()) };
        let record = self.log.append(&append);
        self.say(|| format!("late: {}", crate::world::show(&record)));
        self.record(&record)
    }

    /// The platform: processes are started, partitions assigned, owners told.
    pub(crate) fn manage(&mut self) -> Result<(), String> {
        let service = self.rng.pick(&Service::ALL).copied().unwrap_or(Service::Order);
        if self.alive(service).count() < wanted(service) {
            return self.spawn(service);
        }
        if self.rng.chance(300) {
            self.tell(service);
        } else {
            self.assign(service);
        }
        Ok(())
    }

    /// Zombies hear that their partitions are somebody else's.
    pub(crate) fn tell(&mut self, service: Service) -> bool {
        let mut told = false;
        for process in self.processes.iter_mut().filter(|process| process.service == service && !process.dead)
        {
            if !process.lost.is_empty() {
                let lost = std::mem::take(&mut process.lost);
                process.changes.push_back(Change::Revoked(lost));
                told = true;
            }
        }
        told
    }

    /// Partitions without an owner get one.
    pub(crate) fn assign(&mut self, service: Service) -> bool {
        if service == Service::Inventory {
            return false;
        }
        let Self { processes, groups, rng, .. } = self;
        let is_member = |process: &&Process| {
            process.service == service && process.is_idle() && process.changes.is_empty() && !process.stopping
        };
        let ready: Vec<&Process> = processes.iter().filter(is_member).collect();
        let Some(&&Process { id, ref lost, .. }) = rng.pick(&ready) else { return false };
        let is_free =
            |partition: &u32| groups.owner(service, *partition).is_none() && !lost.contains(partition);
        let mut mine: Vec<u32> = (0..3).filter(is_free).collect();
        if !self.resting && !rng.chance(500) {
            mine.truncate(rng.index(mine.len() + 1));
        }
        if mine.is_empty() {
            return false;
        }
        self.say(|| format!("{} gets {mine:?}", self.processes[id].name()));
        for partition in &mine {
            self.groups.assign(service, *partition, id);
        }
        self.processes[id].changes.push_back(Change::Assigned(mine));
        true
    }

    /// A partition is taken from its owner, whatever that is doing; it hears of it when it looks next, or later.
    fn move_partition(&mut self) {
        let any = self.rng.pick(&Service::ALL).copied().unwrap_or(Service::Order);
        let service = self.plan.faults.focus.unwrap_or(any);
        let partition = u32::try_from(self.rng.below(3)).unwrap_or(0);
        let Some(owner) = self.groups.owner(service, partition) else { return };
        let zombie = self.rng.chance(self.plan.faults.zombie);
        self.say(|| format!("{} loses {partition}, zombie: {zombie}", self.processes[owner].name()));
        self.groups.release(service, partition);
        let process = &mut self.processes[owner];
        process.lost.insert(partition);
        if !zombie {
            let lost = std::mem::take(&mut process.lost);
            process.changes.push_back(Change::Revoked(lost));
        }
    }

    /// Some records are delivered again, as after a reconnect.
    fn rewind(&mut self) {
        let id = self.rng.index(self.processes.len());
        let back = self.rng.between(1, 5);
        let (process, groups) = (&mut self.processes[id], &self.groups);
        if process.service == Service::Inventory || !process.is_idle() {
            return;
        }
        let places: Vec<_> = process.inputs.keys().copied().collect();
        if let Some(place) = self.rng.pick(&places)
            && let Some(next) = process.inputs.get_mut(place)
        {
            let committed = groups.committed(process.service, *place).map_or(0, |commit| commit.next.offset);
            *next = next.saturating_sub(back).max(committed.min(*next));
            process.idle = None;
        }
    }
}
