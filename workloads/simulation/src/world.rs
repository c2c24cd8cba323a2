//! The world of one seed: everything that is.

use std::collections::VecDeque;
use std::fmt::Arguments;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use kbnt_application::driver::{Command, Event};
use kbnt_application::{Append, Delivered, Service};

use crate::Report;
use crate::checks::model::Books;
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
    pub(crate) trace: bool,
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

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            self.print(format_args!("{:>6} {:>9} {}", self.step, self.now() - BEGINNING, what()));
        }
    }

    /// Shows a line of the trace; where nobody can read it, the seed's outcome is the same.
    pub(crate) fn print(&self, line: Arguments<'_>) {
        debug_assert!(self.trace);
        let _ = crate::screen::show(line);
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
