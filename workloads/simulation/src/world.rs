//! The world of one seed: everything that is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use kbnt_application::Delivered;

use crate::Report;
use crate::checks::model::Books;
use crate::faults::appends::Late;
use crate::faults::clocks::Now;
use crate::faults::flights::Flights;
use crate::faults::gateway::Outside;
use crate::faults::groups::Groups;
use crate::faults::strays::Strays;
use crate::faults::volumes::Volumes;
use crate::log::Log;
use crate::plan::Plan;
use crate::plan::clients::Clients;
use crate::plan::rng::Rng;
use crate::process::Process;

/// When it all begins.
pub(crate) const BEGINNING: i64 = 1_700_000_000_000;

/// The world of one seed.
#[derive(Default)]
pub(crate) struct World {
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
    pub(crate) books: Books,
    pub(crate) strays: Strays,
    pub(crate) late: Late,
    /// What outlives the processes of the inventory.
    pub(crate) volumes: Volumes,
    pub(crate) report: Report,
    /// Faults are over, and nothing is left to chance that need not be.
    pub(crate) resting: bool,
}

impl World {
    /// The world of `seed`; with `trace`, every step is printed.
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let clients = Clients::draw(&plan, &mut rng);
        let outside = Outside::new(&plan);
        let now = Arc::new(BEGINNING.into());
        Self { rng, plan, trace, now, outside, clients, ..Self::default() }
    }

    /// True time in milliseconds.
    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    /// A line of the trace; where nobody can read it, the seed's outcome is the same.
    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            let passed = self.now() - BEGINNING;
            let _ = crate::screen::show(format_args!("{:>6} {passed:>9} {}", self.step, what()));
        }
    }
}

/// A record in a line.
pub(crate) fn show(record: &Delivered) -> String {
    let message = &record.message;
    let by = message.writer.as_ref().map(|writer| format!(" of term {}", writer.term)).unwrap_or_default();
    format!("{}{by} {:?}", record.at, message.event)
}
