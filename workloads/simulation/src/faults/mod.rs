//! What goes wrong, and how a platform puts it right.
//!
//! Records arrive late, twice and out of order between partitions, and a reader lags behind what its own process wrote. Any process
//! crashes between any two steps, or is stopped and hands over; what it had not seen acknowledged is lost from each partition on its
//! own, or gets in later; an append is repeated, or refused after any part of it got in: for good, or for the size of a record.
//! Partitions move between processes, in the middle of a batch and while they are still being recovered; one that has lost a
//! partition may go on for a while as a zombie. Commits are refused, acknowledged and lost, or lose their note. A second
//! inventory writer comes up beside the first, or stands by and loses its lease, and each begins with the newest snapshot, with
//! an older one or with the log; snapshots are taken after any batch. In every other run it leaves all closed orders but a few to an
//! archive on a disk: in a crash the disk falls back to any time since it was synced, it is full, damaged or unreadable for a while, and
//! between two processes it is lost, old or another one's; hours pass, so that orders are forgotten. There are as many places for effects, records of a read and
//! orders in hand as production has, or hardly any. Clocks differ and jump, by a little or by hours, and are put right. The
//! gateway declines, is away, answers late, twice or not at all. Customers retry, reuse ids and cancel at any time, while
//! stock is received and written off and users are blocked. Records get into the log that nobody understands, and
//! persons see to them. A program that is none of the services writes into their topics: in partitions that are not the
//! key's, at times of the year 0 or 9999, and with notes of what it answers that are not true. inventory-events is cut where
//! checkpoints stand for what is gone. When all is checked, the first records of an event store are lost.

pub(crate) mod appends;
pub(crate) mod archive;
pub(crate) mod clocks;
pub(crate) mod cuts;
pub(crate) mod flights;
pub(crate) mod gateway;
pub(crate) mod groups;
pub(crate) mod images;
pub(crate) mod loss;
pub(crate) mod readers;
pub(crate) mod requests;
pub(crate) mod strays;
pub(crate) mod volumes;

use kbnt_application::driver::{Command, Event as Happening, Failure};
use kbnt_application::event::{DeadLetterResolved, RecordedEvent, Resolution};
use kbnt_application::message::Location;
use kbnt_application::{Delivered, Outbox, Service, Topic};
use kbnt_domain::Timestamp;

use self::appends::{Batch, is_too_large};
use self::clocks::{ProcessClock, WRONG};
use self::requests::Request;
use self::volumes::Mount;
use crate::process::Process;
use crate::world::World;

/// How many times as large as others some of what nobody understands is: 96 kB.
const LARGE: usize = 12_000;

/// How many processes of a service the platform keeps up.
const fn wanted(service: Service) -> usize {
    match service {
        Service::Inventory => 1,
        _ => 2,
    }
}

fn location_of_letter(record: &Delivered) -> Option<Location> {
    match &record.message.event {
        RecordedEvent::DeadLetterStored(letter) => Some(letter.location.clone()),
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
        if self.rng.chance(self.plan.faults.cut) {
            self.cut();
        }
        if self.plan.archive.is_some() && self.rng.chance(self.plan.faults.trouble) {
            self.trouble();
        }
        Ok(())
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
        // Now and then it is so large that the audit trail cannot keep it whole.
        let times = if self.step.is_multiple_of(50) { LARGE } else { 1 };
        let at = self.log.spoil((topic, partition), self.step.to_be_bytes().repeat(times));
        self.say(|| format!("poison: {at}"));
    }

    fn fault(&mut self, fault: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.report.faults += 1;
        fault(self)
    }

    pub(crate) fn alive(&self, service: Service) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.service == service && !process.dead)
    }

    /// A process of a service starts.
    pub(crate) fn spawn(&mut self, service: Service) -> Result<(), String> {
        let id = self.processes.len();
        // Whoever decides by time. What order-service stamps hours ahead is refused as stale, and rightly so.
        let decides = matches!(service, Service::Inventory | Service::Payment);
        let wrong = decides && self.rng.chance(self.plan.faults.wrong_start * 20);
        let skew = if wrong { WRONG } else { self.skew() };
        let mount = if service == Service::Inventory { self.mount()? } else { Mount::default() };
        let clock = ProcessClock::new(self.now.clone(), skew);
        self.processes.push(Process::new(id, service, &self.plan, clock, mount));
        self.say(|| format!("{} starts", self.processes[id].name()));
        self.begin(id)
    }

    fn begin(&mut self, id: usize) -> Result<(), String> {
        self.processes[id].tell(Happening::Begin);
        self.carry(id)
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
            let kept = queue.into_iter().take(kept).map(|index| appends[index].clone());
            let kept = kept.take_while(|append| !is_too_large(append)).collect();
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

    /// A driver has come to its end, and its process with it.
    pub(crate) fn finished(&mut self, id: usize, outcome: Result<(), Failure>) -> Result<(), String> {
        self.say(|| format!("{} ends: {outcome:?}", self.processes[id].name()));
        self.processes[id].may_end(outcome, &self.log, &self.groups)?;
        self.kill(id)
    }

    /// A process is told to stop.
    fn stop(&mut self, id: usize) -> Result<(), String> {
        let process = &mut self.processes[id];
        if process.dead || process.stopping {
            return Ok(());
        }
        process.stopping = true;
        // What it waits for to come to work it does not wait for any more.
        let is_at_its_end = |request: &Request| {
            matches!(request, Request::Append(_) | Request::Other(Command::Commit(_) | Command::Leave))
        };
        if !process.request.as_ref().is_some_and(is_at_its_end) {
            process.request = None;
        }
        process.tell(Happening::Stop);
        self.say(|| format!("{} is to stop", self.processes[id].name()));
        self.carry(id)
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
}
