//! The world of one seed: everything that is, and the scheduler that decides what happens next.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kbnt_application::driver::{Command, Event};
use kbnt_application::{Append, Delivered, Service};

use crate::Report;
use crate::carry::Most;
use crate::checks::model::Books;
use crate::faults::archive::DiskArchive;
use crate::faults::clocks::{Now, WRONG};
use crate::faults::flights::Flights;
use crate::faults::gateway::Outside;
use crate::faults::groups::Groups;
use crate::faults::strays::Strays;
use crate::faults::volumes::Volumes;
use crate::log::{Log, Place};
use crate::plan::Plan;
use crate::plan::clients::Clients;
use crate::plan::rng::Rng;
use crate::process::{Process, Request};

/// When it all begins.
pub(crate) const BEGINNING: i64 = 1_700_000_000_000;

/// The world of one seed.
pub struct World {
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    trace: bool,
    pub(crate) now: Now,
    pub(crate) step: u64,
    pub(crate) log: Log,
    pub(crate) groups: Groups,
    pub(crate) processes: Vec<Process>,
    pub(crate) flights: Flights,
    pub(crate) outside: Outside,
    pub(crate) clients: Clients,
    pub(crate) tickets: u64,
    pub(crate) books: Books,
    pub(crate) strays: Strays,
    /// What crashed processes had sent and that still gets in.
    pub(crate) late: Vec<(Place, VecDeque<Append>)>,
    /// What outlives the processes of the inventory.
    pub(crate) volumes: Volumes,
    pub(crate) report: Report,
    /// Faults are over, and nothing is left to chance that need not be.
    pub(crate) resting: bool,
}

impl World {
    /// The world of `seed`; with `trace`, every step is printed.
    pub fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let clients = Clients::draw(&plan, &mut rng);
        let (decline_above, unnamed) = (plan.decline_above, plan.faults.unnamed);
        let outside = Outside { decline_above, unnamed, ..Outside::default() };
        Self {
            rng,
            plan,
            trace,
            now: Arc::new(AtomicI64::new(BEGINNING)),
            step: 0,
            log: Log::new(),
            groups: Groups::default(),
            processes: Vec::new(),
            flights: Flights::default(),
            outside,
            clients,
            tickets: 0,
            books: Books::default(),
            strays: Strays::default(),
            late: Vec::new(),
            volumes: Volumes::default(),
            report: Report::default(),
            resting: false,
        }
    }

    /// How many steps were taken.
    pub const fn steps(&self) -> u64 {
        self.step
    }

    /// True time in milliseconds.
    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    /// Lets things happen, then lets them come to rest, then checks everything.
    ///
    /// # Errors
    /// What promise was broken.
    pub fn run(&mut self) -> Result<Report, String> {
        if self.trace {
            self.print(format_args!("{:#?}", self.plan));
        }
        for service in Service::ALL {
            self.spawn(service)?;
        }
        let faults = self.plan.faults.clone();
        self.live(self.plan.steps)?;
        for _ in 0..self.plan.days {
            self.plan.faults = faults.clone();
            self.next_day()?;
            self.live(self.plan.steps / 4)?;
        }
        self.check()?;
        self.report.steps = self.step;
        self.report.records = self.log.len();
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

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            self.print(format_args!("{:>6} {:>9} {}", self.step, self.now() - BEGINNING, what()));
        }
    }

    /// Shows a line of the trace; where nobody can read it, the seed's outcome is the same.
    fn print(&self, line: Arguments<'_>) {
        debug_assert!(self.trace);
        let _ = crate::screen::show(line);
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

    /// A process of a service starts.
    pub(crate) fn spawn(&mut self, service: Service) -> Result<(), String> {
        let id = self.processes.len();
        // Whoever decides by time. What order-service stamps hours ahead is refused as stale, and rightly so.
        let decides = matches!(service, Service::Inventory | Service::Payment);
        let wrong = decides && self.rng.chance(self.plan.faults.wrong_start * 20);
        let skew = if wrong { WRONG } else { self.skew() };
        let volume = if service == Service::Inventory { Some(self.mount()?) } else { None };
        let archive = volume.and_then(|volume| self.volumes.all[volume].archive.clone());
        let process = Process::new(id, service, &self.plan, skew, &self.now, archive);
        self.processes.push(Process { volume: volume.unwrap_or_default(), ..process });
        self.say(|| format!("{} starts", self.processes[id].name()));
        self.begin(id)
    }

    pub(crate) fn begin(&mut self, id: usize) -> Result<(), String> {
        self.processes[id].tell(Event::Begin);
        self.carry(id)
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
            Some(_) => self.perform(id),
            None => self.work(id, most, None).map(|_| ()),
        }
    }

    /// Whether another process has the turn to write.
    pub(crate) fn is_led(&self, id: usize) -> bool {
        self.alive(self.processes[id].service).any(|process| {
            process.id != id && !matches!(process.request, Some(Request::Other(Command::AwaitTurn)))
        })
    }
}

/// A record in a line.
pub(crate) fn show(record: &Delivered) -> String {
    let message = &record.message;
    let by = message.writer.as_ref().map(|writer| format!(" of term {}", writer.term)).unwrap_or_default();
    let at = &record.at;
    format!("{}/{}@{}{by} {:?}", at.topic.name(), at.partition, at.offset, message.event)
}
