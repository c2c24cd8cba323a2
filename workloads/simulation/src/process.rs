//! A process: the driver that ships with a production machine, and what its readers and requests have come to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::clock::Watch;
use kbnt_application::driver::{Attempt, Driver, Reader, Setup};
use kbnt_application::intact::Fault;
use kbnt_application::ports::{Clock, Commit, NoObserver};
use kbnt_application::{Append, Delivered, EffectOutcome, Machine as _, Position, Service, Topic};
use kbnt_domain::{OrderId, Timestamp};

use crate::checks::invariants::Actions;
use crate::log::{Log, Place, place_of};
use crate::node::Node;
use crate::plan::Plan;
use crate::plan::clients::Call;

/// By how much a clock may be set, in milliseconds: five minutes, as services have it by default.
const CLOCK_LIMIT: i64 = 5 * 60_000;

/// True time in milliseconds.
pub(crate) type Now = Arc<AtomicI64>;

/// The clock of one process.
pub(crate) struct ProcessClock {
    now: Now,
    /// What it is ahead of true time, in milliseconds.
    skew: AtomicI64,
    /// What somebody has set it ahead besides, far beyond what a clock may be off.
    set_by: AtomicI64,
    watch: Mutex<Watch>,
}

impl ProcessClock {
    fn new(now: Now, skew: i64) -> Self {
        let steady = now.load(Ordering::Relaxed);
        let watch = Mutex::new(Watch::new(steady + skew, steady, CLOCK_LIMIT));
        Self { now, skew: skew.into(), set_by: 0.into(), watch }
    }

    pub(crate) fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    pub(crate) fn set_by(&self) -> i64 {
        self.set_by.load(Ordering::Relaxed)
    }

    /// What it shows ahead of true time, whether that is believed or not.
    pub(crate) fn ahead(&self) -> i64 {
        self.skew() + self.set_by()
    }

    pub(crate) fn drift(&self, skew: i64) {
        self.skew.store(skew, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, by: i64) {
        self.set_by.store(by, Ordering::Relaxed);
    }

    fn look<T>(&self, look: impl FnOnce(&mut Watch, i64, i64) -> T) -> T {
        let steady = self.now.load(Ordering::Relaxed);
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut watch, steady + self.ahead(), steady)
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.look(Watch::now))
    }

    fn off_by(&self) -> Option<i64> {
        self.look(Watch::off_by)
    }

    fn log_says(&self, newest: Timestamp) {
        self.look(|watch, _, steady| watch.log_says(newest.as_millis(), steady));
    }
}

/// What a driver has asked for, and is answered when the scheduler wants it.
#[derive(Debug)]
pub(crate) enum Request {
    Ends(Vec<Position>),
    Open(Reader, Vec<Position>),
    Join,
    Load(usize),
    Contradict(Topic, Fault),
    Turn,
    Append(Batch),
    Commit(Arc<Vec<Commit>>),
    Leave,
}

/// What the group's coordinator has for a member.
#[derive(Debug)]
pub(crate) enum Change {
    Assigned(Vec<u32>),
    Revoked(BTreeSet<u32>),
}

/// What a step wrote, on its way to the log.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) appends: Arc<Vec<Append>>,
    /// By partition, what is not in the log yet.
    pub(crate) landing: BTreeMap<Place, VecDeque<usize>>,
    /// Where the rest lies.
    pub(crate) positions: Vec<Position>,
}

impl Batch {
    /// On its way: all of it from the start.
    pub(crate) fn new(appends: Arc<Vec<Append>>) -> Self {
        let mut landing: BTreeMap<Place, VecDeque<usize>> = BTreeMap::new();
        for (index, append) in appends.iter().enumerate() {
            landing.entry(place_of(append)).or_default().push_back(index);
        }
        let nowhere = Position { topic: Topic::OrderEvents, partition: 0, offset: 0 };
        Self { positions: vec![nowhere; appends.len()], appends, landing }
    }

    /// The next record of a partition gets into the log.
    pub(crate) fn land(&mut self, place: Place, log: &mut Log) -> Option<Delivered> {
        let queue = self.landing.get_mut(&place)?;
        let index = queue.pop_front()?;
        if queue.is_empty() {
            self.landing.remove(&place);
        }
        let record = log.append(&self.appends[index]);
        self.positions[index] = record.at;
        Some(record)
    }
}

/// Names a call; whether it was to have any effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    pub(crate) effective: bool,
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
    /// The clock when it decided last.
    pub(crate) decided: Timestamp,
    pub(crate) actions: Actions,
    /// It had nothing to do, and nobody has told it anything since.
    pub(crate) idle: Option<Idle>,
    /// It has begun with a snapshot, which was not compared with the log yet.
    pub(crate) restored: bool,
    /// It is to stop.
    pub(crate) stopping: bool,
    /// Crashed, fenced or stopped.
    pub(crate) dead: bool,
}

impl Process {
    pub(crate) fn new(id: usize, service: Service, plan: &Plan, skew: i64, now: &Now) -> Self {
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
            driver: Driver::new(Node::new(service, id, plan), setup),
            decided: clock.now(),
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
            restored: false,
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

    /// At what true time it goes on by itself, in milliseconds: to tick, if it decides, or to end.
    pub(crate) fn due(&self) -> Option<i64> {
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

    /// Its reader stands here now.
    pub(crate) fn open(&mut self, reader: Reader, from: Vec<Position>) {
        match reader {
            Reader::Output => self.output = from,
            Reader::Scan => self.scan = from.first().copied(),
            Reader::Input => {
                self.inputs = from.iter().map(|at| ((at.topic, at.partition), at.offset)).collect();
            }
        }
    }

    /// The inputs that go with a partition number.
    pub(crate) fn places(&self, partition: u32) -> impl Iterator<Item = Place> + use<> {
        let topics = self.service.inputs().iter();
        topics.filter(move |topic| partition < topic.partitions()).map(move |topic| (*topic, partition))
    }
}
