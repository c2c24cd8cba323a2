//! What goes wrong, and how a platform puts it right.

use kbnt_application::fence::TermFence;
use kbnt_application::{Delivered, Outbox, Service, Topic};
use kbnt_domain::Timestamp;
use kbnt_domain::dead_letter::{Location, Resolution};
use kbnt_domain::event::{DeadLetterResolved, Event};

use crate::process::{Batch, Input, Process, Stage, admitted};
use crate::startup::has_all;
use crate::world::{WRONG, World};

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
        let faults = self.plan.faults.clone();
        if self.rng.chance(faults.crash) {
            let id = self.rng.index(self.processes.len());
            self.fault(|world| world.kill(id))?;
        }
        if self.rng.chance(faults.rebalance) {
            self.fault(|world| {
                world.move_partition();
                Ok(())
            })?;
        }
        if self.rng.chance(faults.second_writer) && self.alive(Service::Inventory).count() < 3 {
            self.fault(|world| {
                world.spawn(Service::Inventory);
                Ok(())
            })?;
        }
        if self.rng.chance(faults.jump) {
            let id = self.rng.index(self.processes.len());
            let skew = self.skew();
            self.fault(|world| {
                if world.processes[id].skew != WRONG {
                    world.processes[id].skew = skew;
                }
                Ok(())
            })?;
        }
        if self.rng.chance(faults.wrong_start) {
            self.put_clocks_right()?;
        }
        if self.rng.chance(faults.set_clock) {
            self.fault(|world| {
                world.set_a_clock();
                Ok(())
            })?;
        }
        if self.rng.chance(faults.gateway) {
            self.outside.away = !self.outside.away && self.rng.chance(600);
        }
        if self.rng.chance(faults.snapshot) {
            self.copy_state();
        }
        if self.rng.chance(faults.rewind) {
            self.rewind();
        }
        if self.rng.chance(faults.poison) {
            self.fault(|world| {
                world.spoil();
                Ok(())
            })?;
        }
        if self.rng.chance(faults.stray) {
            self.fault(Self::stray)?;
        }
        Ok(())
    }

    /// Clocks that were wrong from the start are put right.
    pub(crate) fn put_clocks_right(&mut self) -> Result<(), String> {
        for id in 0..self.processes.len() {
            if self.processes[id].skew == WRONG {
                self.say(|| format!("the clock of {} is put right", self.processes[id].name()));
                self.processes[id].skew = self.skew();
                // Where the log says nothing of the time, what it showed at first is believed: a person starts it again.
                if self.processes[id].set_by == 0 && self.processes[id].look_at_the_clock(self.now) {
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
        let (now, process) = (self.now, &mut self.processes[id]);
        process.set_by = if process.set_by == 0 { by } else { 0 };
        process.look_at_the_clock(now);
        self.say(|| {
            format!("the clock of {} is off by {}", self.processes[id].name(), self.processes[id].set_by)
        });
    }

    /// Something gets into the log that nobody understands, or a person sees to what is there.
    fn spoil(&mut self) {
        let letters: Vec<_> = self.log.topic(Topic::AuditLogs).filter_map(location_of_letter).collect();
        if let Some(location) = self.rng.pick(&letters).cloned()
            && self.rng.chance(400)
        {
            let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(self.now));
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
        self.processes.iter().filter(move |process| process.service == service && !process.is_dead())
    }

    /// A process crashes. Of what it had sent to each partition, any first part gets in: at once, or later.
    pub(crate) fn kill(&mut self, id: usize) -> Result<(), String> {
        if self.processes[id].is_dead() {
            return Ok(());
        }
        self.say(|| format!("{} crashes", self.processes[id].name()));
        self.processes[id].stage = Stage::Dead;
        self.groups.leave(id);
        self.flights.orphan(id);
        let batch = self.processes[id].batch.take();
        let waiting = std::mem::take(&mut self.processes[id].waiting);
        let calls = waiting.into_iter().map(|waiting| waiting.call);
        let calls: Vec<_> = calls.chain(batch.iter().flat_map(|batch| batch.calls.clone())).collect();
        for call in calls {
            self.clients.unanswered(&call, &mut self.rng);
        }
        let Some(batch) = batch else { return Ok(()) };
        for (place, queue) in batch.landing {
            let kept = self.rng.index(queue.len() + 1);
            let kept = queue.into_iter().take(kept).map(|index| batch.appends[index].clone()).collect();
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
    pub(crate) fn manage(&mut self) {
        let service = self.rng.pick(&Service::ALL).copied().unwrap_or(Service::Order);
        if self.alive(service).count() < wanted(service) {
            self.spawn(service);
        } else if self.rng.chance(300) {
            self.tell(service);
        } else {
            self.assign(service);
        }
    }

    /// Zombies hear that their partitions are somebody else's.
    pub(crate) fn tell(&mut self, service: Service) -> bool {
        let mut told = false;
        for process in
            self.processes.iter_mut().filter(|process| process.service == service && process.is_idle())
        {
            for partition in std::mem::take(&mut process.lost) {
                process.revoke(partition);
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
        let free: Vec<u32> =
            (0..3).filter(|partition| self.groups.owner(service, *partition).is_none()).collect();
        let ready: Vec<usize> =
            self.alive(service).filter(|process| process.is_idle()).map(|process| process.id).collect();
        let Some(id) = self.rng.pick(&ready).copied() else { return false };
        let mine: Vec<u32> =
            free.into_iter().filter(|partition| !self.processes[id].lost.contains(partition)).collect();
        let some =
            if self.resting || self.rng.chance(500) { mine.len() } else { self.rng.index(mine.len() + 1) };
        let mine = &mine[..some];
        if mine.is_empty() {
            return false;
        }
        self.say(|| format!("{} gets {mine:?}", self.processes[id].name()));
        for partition in mine {
            self.groups.assign(service, *partition, id);
        }
        self.take_over(id, mine);
        true
    }

    /// As `infrastructure::runtime::drive` does on an assignment.
    fn take_over(&mut self, id: usize, partitions: &[u32]) {
        let process = &mut self.processes[id];
        let service = process.service;
        let mut inputs = partitions.iter().flat_map(|partition| process.places(*partition));
        let own = partitions.iter().map(|partition| (service.output(), *partition));
        let own = own.filter(|(topic, partition)| *partition < topic.partitions()).collect::<Vec<_>>();
        if !inputs.all(|place| has_all(&self.log, place, self.groups.committed(service, place).next))
            || !own.into_iter().all(|place| has_all(&self.log, place, 0))
        {
            process.stage = Stage::Dead;
            self.groups.leave(id);
            return;
        }
        process.forget();
        for partition in partitions {
            for place in process.places(*partition) {
                let committed = self.groups.committed(service, place);
                if place.0 == Topic::InventoryEvents
                    && process.fence.restore(*partition, &committed.note).is_err()
                {
                    for record in
                        self.log.records(place).take_while(|record| record.at.offset < committed.next)
                    {
                        // Whether it counts is of no interest here: that it was shown is.
                        let _ = process.fence.admits(record);
                    }
                }
                let (next, notes) = (committed.next, vec![(committed.next, committed.note)]);
                process.inputs.insert(place, Input { next, committed: next, notes });
            }
            process.node.machine().assigned(*partition);
        }
        for partition in partitions.iter().filter(|partition| **partition < service.output().partitions()) {
            let mut fence = TermFence::default();
            for record in self.log.records((service.output(), *partition)) {
                if admitted(&mut fence, record) {
                    process.node.machine().fold(record);
                }
            }
        }
        let mut batch = Batch::new(process.clock(self.now));
        for partition in partitions {
            let mut outbox = Outbox::new(service, batch.now);
            process.node.machine().recovered(*partition, &mut outbox);
            let (appends, effects) = outbox.take();
            batch.appends.extend(appends);
            batch.effects.extend(effects);
        }
        batch.send();
        process.batch = Some(batch);
    }

    /// A partition is taken from its owner, who hears of it now or later.
    fn move_partition(&mut self) {
        let any = self.rng.pick(&Service::ALL).copied().unwrap_or(Service::Order);
        let service = self.plan.faults.focus.unwrap_or(any);
        let partition = u32::try_from(self.rng.below(3)).unwrap_or(0);
        let Some(owner) = self.groups.owner(service, partition) else { return };
        let zombie = self.rng.chance(self.plan.faults.zombie);
        if !zombie && !self.processes[owner].is_idle() {
            return;
        }
        self.say(|| format!("{} loses {partition}, zombie: {zombie}", self.processes[owner].name()));
        self.groups.release(service, partition);
        if zombie {
            self.processes[owner].lost.insert(partition);
        } else {
            self.processes[owner].revoke(partition);
        }
    }

    /// Some records are delivered again, as after a reconnect.
    fn rewind(&mut self) {
        let id = self.rng.index(self.processes.len());
        let back = self.rng.between(1, 5);
        let process = &mut self.processes[id];
        let places: Vec<_> = process.inputs.keys().copied().collect();
        if let Some(input) = self.rng.pick(&places).and_then(|place| process.inputs.get_mut(place))
            && process.stage == Stage::Working
            && process.service != Service::Inventory
        {
            input.next = input.next.saturating_sub(back).max(input.committed);
        }
    }
}
