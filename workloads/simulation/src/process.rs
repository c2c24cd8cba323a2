//! A process: the driver that ships with a production machine, and what its readers and requests have come to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kbnt_application::Service;
use kbnt_application::driver::Driver;

use crate::checks::invariants::Actions;
use crate::faults::clocks::ProcessClock;
use crate::faults::flights::Answer;
use crate::faults::groups::Member;
use crate::faults::readers::Readers;
use crate::faults::requests::Request;
use crate::faults::volumes::Mount;
use crate::node::Node;
use crate::plan::Plan;
use crate::plan::clients::{Call, Ticket};
use crate::plan::idle::Idle;

pub(crate) struct Process {
    pub(crate) id: usize,
    pub(crate) service: Service,
    pub(crate) driver: Driver<Node, Ticket>,
    pub(crate) clock: Arc<ProcessClock>,
    pub(crate) request: Option<Request>,
    pub(crate) readers: Readers,
    pub(crate) outcomes: VecDeque<Answer>,
    /// Calls that are not answered yet.
    pub(crate) calls: BTreeMap<u64, Call>,
    pub(crate) member: Member,
    pub(crate) actions: Actions,
    /// It had nothing to do, and nobody has told it anything since.
    pub(crate) idle: Option<Idle>,
    /// Where the inventory's closed orders and snapshots lie.
    pub(crate) mount: Mount,
    /// It is to stop.
    pub(crate) stopping: bool,
    /// Crashed, fenced or stopped.
    pub(crate) dead: bool,
}

impl Process {
    pub(crate) fn new(id: usize, service: Service, plan: &Plan, clock: ProcessClock, mount: Mount) -> Self {
        let clock = Arc::new(clock);
        let machine = plan.machine(service, id, mount.archive.clone());
        Self {
            id,
            service,
            driver: Driver::new(machine, plan.setup(clock.clone())),
            clock,
            request: None,
            readers: Readers::default(),
            outcomes: VecDeque::new(),
            calls: BTreeMap::new(),
            member: Member::default(),
            actions: Actions::default(),
            idle: None,
            mount,
            stopping: false,
            dead: false,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}#{}", self.service.name(), self.id)
    }

    /// Whether it waits for nothing and takes in whatever comes.
    pub(crate) fn is_idle(&self) -> bool {
        !self.dead && self.request.is_none() && self.driver.is_at_work()
    }
}
