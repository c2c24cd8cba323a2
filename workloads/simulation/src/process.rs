//! A process: the driver that ships with a production machine, and what its readers and requests have come to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kbnt_application::driver::{Attempt, Command, Driver, Setup};
use kbnt_application::ports::NoObserver;
use kbnt_application::{EffectOutcome, Position, Service};
use kbnt_domain::{OrderId, Timestamp};

use crate::checks::invariants::Actions;
use crate::faults::appends::Batch;
use crate::faults::archive::DiskArchive;
use crate::faults::clocks::{Now, ProcessClock};
use crate::faults::groups::Change;
use crate::log::Place;
use crate::node::Node;
use crate::plan::Plan;
use crate::plan::clients::{Call, Ticket};

/// What a driver has asked for, and is answered when the scheduler wants it.
pub(crate) enum Request {
    /// It gets into the log bit by bit.
    Append(Batch),
    Other(Command<Node, Ticket>),
}

/// What there was when a process had nothing to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// What its clock showed ahead of true time.
    pub(crate) ahead: i64,
    /// When it wants to tick.
    pub(crate) tick: Option<Timestamp>,
}

pub(crate) struct Process {
    pub(crate) id: usize,
    pub(crate) service: Service,
    pub(crate) driver: Driver<Node, Ticket>,
    pub(crate) clock: Arc<ProcessClock>,
    pub(crate) request: Option<Request>,
    /// Where the reader of its output topic stands.
    pub(crate) output: Vec<Position>,
    /// Where the reader of its inputs stands.
    pub(crate) inputs: BTreeMap<Place, u64>,
    /// Where it scans.
    pub(crate) scan: Option<Position>,
    pub(crate) outcomes: VecDeque<(Attempt, OrderId, EffectOutcome)>,
    /// Calls that are not answered yet.
    pub(crate) calls: BTreeMap<u64, Call>,
    /// What the coordinator has for it.
    pub(crate) changes: VecDeque<Change>,
    /// Partitions that it works on and that are somebody else's, of which it hears later.
    pub(crate) lost: BTreeSet<u32>,
    pub(crate) actions: Actions,
    /// It had nothing to do, and nobody has told it anything since.
    pub(crate) idle: Option<Idle>,
    /// What it has begun with, a snapshot or an archive, was not compared with the log yet.
    pub(crate) unchecked: bool,
    /// The inventory's closed orders and snapshots lie there.
    pub(crate) volume: usize,
    /// Of that volume.
    pub(crate) archive: Option<Arc<DiskArchive>>,
    /// It is to stop.
    pub(crate) stopping: bool,
    /// Crashed, fenced or stopped.
    pub(crate) dead: bool,
}

impl Process {
    pub(crate) fn new(
        id: usize,
        service: Service,
        plan: &Plan,
        skew: i64,
        now: &Now,
        archive: Option<Arc<DiskArchive>>,
    ) -> Self {
        let clock = Arc::new(ProcessClock::new(Arc::clone(now), skew));
        let stopwatch = {
            let now = Arc::clone(now);
            move || Duration::from_millis(now.load(Ordering::Relaxed).unsigned_abs())
        };
        let setup = Setup {
            clock: clock.clone(),
            stopwatch: Arc::new(stopwatch),
            observer: Arc::new(NoObserver),
            limits: plan.limits,
            takes_place: Box::new(|_| true),
            snapshots: plan.snapshots.map(|every| Duration::from_millis(every.as_millis())),
            led: plan.led,
        };
        Self {
            id,
            service,
            driver: Driver::new(Node::new(service, id, plan, archive.clone()), setup),
            clock,
            request: None,
            output: Vec::new(),
            inputs: BTreeMap::new(),
            scan: None,
            outcomes: VecDeque::new(),
            calls: BTreeMap::new(),
            changes: VecDeque::new(),
            lost: BTreeSet::new(),
            actions: Actions::default(),
            idle: None,
            unchecked: archive.is_some() && plan.timely,
            volume: 0,
            archive,
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
