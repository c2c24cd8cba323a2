//! A process: one machine, and what its runtime knows. It does what `infrastructure::runtime` does, with every wait
//! made visible to the scheduler.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kbnt_application::audit::AuditMachine;
use kbnt_application::clock::Watch;
use kbnt_application::fence::TermFence;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::notification::NotificationMachine;
use kbnt_application::order::OrderMachine;
use kbnt_application::payment::PaymentMachine;
use kbnt_application::ports::{Mark, Snapshot};
use kbnt_application::user::UserMachine;
use kbnt_application::{Append, Delivered, Effect, EffectOutcome, Machine, Position, Service, Topic};
use kbnt_domain::{OrderId, Timestamp};

use crate::clients::Call;
use crate::log::{Log, Place, place_of};

/// A production machine.
pub(crate) enum Node {
    Order(OrderMachine),
    User(UserMachine),
    Inventory(Box<InventoryMachine>),
    Payment(PaymentMachine),
    Notification(NotificationMachine),
    Audit(AuditMachine),
}

impl Node {
    pub(crate) fn machine(&mut self) -> &mut dyn Machine {
        match self {
            Self::Order(machine) => machine,
            Self::User(machine) => machine,
            Self::Inventory(machine) => machine.as_mut(),
            Self::Payment(machine) => machine,
            Self::Notification(machine) => machine,
            Self::Audit(machine) => machine,
        }
    }

    pub(crate) fn show(&self) -> &dyn Machine {
        match self {
            Self::Order(machine) => machine,
            Self::User(machine) => machine,
            Self::Inventory(machine) => machine.as_ref(),
            Self::Payment(machine) => machine,
            Self::Notification(machine) => machine,
            Self::Audit(machine) => machine,
        }
    }
}

/// How far a process has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Follows its output topic to where it ended at the start, before it joins its group.
    CatchingUp(Vec<u64>),
    /// Stands for election, and waits for the elections to be written.
    Electing,
    /// Handles inputs.
    Working,
    /// Crashed, fenced or stopped.
    Dead,
}

/// The output topic as it is followed.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) next: Vec<u64>,
    pub(crate) fence: TermFence,
}

/// An input partition.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// The next offset to handle.
    pub(crate) next: u64,
    pub(crate) committed: u64,
    /// What the fence knew from these offsets on.
    pub(crate) notes: Vec<(u64, String)>,
}

/// What a step wrote, on its way to the log.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) appends: Vec<Append>,
    /// By partition, what is not in the log yet.
    pub(crate) landing: BTreeMap<Place, VecDeque<usize>>,
    /// Where the rest lies.
    pub(crate) positions: Vec<Option<Position>>,
    pub(crate) effects: Vec<Effect>,
    /// Callers, each with its number in the client's book.
    pub(crate) calls: Vec<Call>,
    /// The clock when it was decided.
    pub(crate) now: Timestamp,
}

impl Batch {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            appends: Vec::new(),
            landing: BTreeMap::new(),
            positions: Vec::new(),
            effects: Vec::new(),
            calls: Vec::new(),
            now,
        }
    }

    /// On its way: all of it from the start.
    pub(crate) fn send(&mut self) {
        self.positions = vec![None; self.appends.len()];
        self.landing.clear();
        for (index, append) in self.appends.iter().enumerate() {
            self.landing.entry(place_of(append)).or_default().push_back(index);
        }
    }

    pub(crate) fn is_landed(&self) -> bool {
        self.landing.is_empty()
    }

    /// The next record of a partition gets into the log.
    pub(crate) fn land(&mut self, place: Place, log: &mut Log) -> Option<Delivered> {
        let queue = self.landing.get_mut(&place)?;
        let index = queue.pop_front()?;
        if queue.is_empty() {
            self.landing.remove(&place);
        }
        let record = log.append(&self.appends[index]);
        self.positions[index] = Some(record.at);
        Some(record)
    }
}

/// A caller of a sole writer, who is answered once the output topic is read up to here.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) call: Call,
    pub(crate) until: BTreeMap<u32, Mark>,
}

/// By how much a clock may be set, in milliseconds: five minutes, as services have it by default.
const CLOCK_LIMIT: i64 = 5 * 60_000;

pub(crate) struct Process {
    pub(crate) id: usize,
    pub(crate) service: Service,
    pub(crate) node: Node,
    /// What its clock is ahead of true time, in milliseconds.
    pub(crate) skew: i64,
    /// What somebody has set it ahead besides, far beyond what a clock may be off.
    pub(crate) set_by: i64,
    pub(crate) watch: Watch,
    /// It decides by time, and its clock is off: it decides nothing.
    pub(crate) clock_off: bool,
    pub(crate) stage: Stage,
    pub(crate) tail: Option<Tail>,
    pub(crate) inputs: BTreeMap<Place, Input>,
    pub(crate) fence: TermFence,
    pub(crate) batch: Option<Batch>,
    pub(crate) completions: VecDeque<(OrderId, EffectOutcome)>,
    pub(crate) waiting: Vec<Waiting>,
    /// The newest record of its own in each partition of its output topic.
    pub(crate) written: BTreeMap<u32, Mark>,
    /// Its state, copied, until what it stands for is read back.
    pub(crate) snapshot: Option<Snapshot>,
    /// From where its snapshot lets it read its inputs.
    pub(crate) settled: Vec<Position>,
    /// Partitions that it works on and that are somebody else's.
    pub(crate) lost: BTreeSet<u32>,
    /// Its own elections.
    pub(crate) elections: BTreeMap<u32, u64>,
    /// Orders that it has charged since it got their partition.
    pub(crate) charging: BTreeSet<OrderId>,
    /// Those of which the outcome is unknown, and no query has answered since.
    pub(crate) unknown: BTreeSet<OrderId>,
    /// Orders of which it told the refund, since it got their partition.
    pub(crate) refunded: BTreeSet<OrderId>,
}

impl Process {
    pub(crate) fn new(id: usize, service: Service, node: Node, skew: i64, now: i64) -> Self {
        Self {
            id,
            service,
            node,
            skew,
            set_by: 0,
            watch: Watch::new(now + skew, now, CLOCK_LIMIT),
            clock_off: false,
            stage: Stage::Working,
            tail: None,
            inputs: BTreeMap::new(),
            fence: TermFence::default(),
            batch: None,
            completions: VecDeque::new(),
            waiting: Vec::new(),
            written: BTreeMap::new(),
            snapshot: None,
            settled: Vec::new(),
            lost: BTreeSet::new(),
            elections: BTreeMap::new(),
            charging: BTreeSet::new(),
            unknown: BTreeSet::new(),
            refunded: BTreeSet::new(),
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}#{}", self.service.name(), self.id)
    }

    pub(crate) fn clock(&mut self, now: i64) -> Timestamp {
        Timestamp::from_millis(self.watch.now(now + self.skew + self.set_by, now))
    }

    /// Finds out whether the clock is off, where that matters.
    pub(crate) fn look_at_the_clock(&mut self, now: i64) -> bool {
        let off = self.watch.off_by(now + self.skew + self.set_by, now).is_some();
        self.clock_off = off && self.node.machine().decides_by_time();
        self.clock_off
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.stage == Stage::Dead
    }

    /// Whether it waits for nothing and may take a step.
    pub(crate) fn is_idle(&self) -> bool {
        self.stage == Stage::Working && self.batch.is_none()
    }

    pub(crate) fn places(&self, partition: u32) -> impl Iterator<Item = Place> + use<> {
        let topics = self.service.inputs().iter();
        topics.filter(move |topic| partition < topic.partitions()).map(move |topic| (*topic, partition))
    }

    pub(crate) fn output_places(&self) -> impl Iterator<Item = Place> + use<> {
        let output = self.service.output();
        (0..output.partitions()).map(move |partition| (output, partition))
    }
}

/// Whether a record of an output topic counts for its followers.
pub(crate) fn admitted(fence: &mut TermFence, record: &Delivered) -> bool {
    record.at.topic != Topic::InventoryEvents || fence.admits(record)
}
