//! What a service is to its runtime: a state machine that is stepped.
//!
//! # How a runtime drives a machine
//! 1. [`Machine::assigned`] for a partition, then [`Machine::fold`] for each record of that partition of the
//!    machine's own output topic, from the first to the end, then [`Machine::recovered`].
//!    What is [`Machine::unanswered`] below the committed offsets is handled then.
//! 2. [`Machine::handle`] for each input record of that partition, in order; [`Machine::unreadable`] for one that nobody
//!    understands.
//! 3. After a batch of steps: append what the [`Outbox`] collected, wait until all of it is acknowledged, only then start
//!    the effects and commit the offsets, each held back to [`Machine::hold`].
//! 4. [`Machine::tick`] when the time that [`Machine::next_tick`] names has come.
//!
//! # A machine that says it is the sole writer
//! It has no group: one process has all partitions.
//! 1. `assigned` for each partition, then `fold` for all of its own output topic, read with the fence.
//! 2. [`Machine::elect`]; what it wrote is appended, and folding goes on until the election is read back in every
//!    partition. A newer election that is met on the way means: `elect` again.
//! 3. `recovered` for each partition, then `handle` from [`Machine::resume`] on.
//! 4. From then on it [follows](Machine::follow) its own output topic, and stops when it is [halted](Machine::halted).
//!
//! Between batches, when all that it wrote is acknowledged, its [`Machine::image`] may be taken. Once the last record of its
//! own in each partition is read back below any newer election, the image is a [`crate::ports::Snapshot`], and a later start
//! may begin with [`Machine::restore`] instead of with the first record: it folds what lies behind those records, and
//! reads its inputs from where they were held at the time of the image, or where [`Machine::resume`] is further, from there.
//!
//! A machine must be ready to see any input again after a crash, and to lose what it wrote and did not see
//! acknowledged, each partition's tail on its own.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use kbnt_domain::dead_letter::Location;
use kbnt_domain::event::{Event, Writer};
use kbnt_domain::stock::image::ImageError;
use kbnt_domain::{EventId, Money, OrderId, ReservationId, Timestamp, TransactionId, UserId};

use crate::inventory::Image;
use crate::message::{Classification, Message, Service, Subject, Topic, Trace};
use crate::ports::RawRecord;
use crate::ports::Unreadable;

/// Where a record lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The topic.
    pub topic: Topic,
    /// The partition, from 0.
    pub partition: u32,
    /// The offset in it, from 0.
    pub offset: u64,
}

impl Position {
    /// As it stands in records.
    pub fn location(self) -> Location {
        (self.topic.name().to_owned(), self.partition, self.offset)
    }

    /// The position that stands in a record; `None` where it names no topic of ours.
    pub fn of((topic, partition, offset): &Location) -> Option<Self> {
        Some(Self { topic: Topic::from_name(topic)?, partition: *partition, offset: *offset })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.topic.name(), self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (topic, rest) = text.split_once('/')?;
            let (partition, offset) = rest.split_once('@')?;
            let topic = Topic::from_name(topic)?;
            Some(Self { topic, partition: partition.parse().ok()?, offset: offset.parse().ok()? })
        };
        read().ok_or("expected TOPIC/PARTITION@OFFSET, such as order-events/0@17")
    }
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Where it lies.
    pub at: Position,
    /// What it says.
    pub message: Arc<Message>,
    /// The input record that it answers, as its writer noted; see [`Append::source`].
    pub source: Option<Position>,
    /// The record as it lies in the log, if whoever reads it asked for that: see [`EventLog::with_bytes`](crate::ports::EventLog).
    pub raw: Option<Arc<RawRecord>>,
}

impl Delivered {
    /// The input that the record answers, where the claim can be true: it is one of the inputs of whoever owns the topic, and of the
    /// record's own partition. Offsets of different partitions have nothing to do with each other.
    pub fn answers(&self) -> Option<Position> {
        let inputs = Classification::of(&self.message.event).owner.inputs();
        self.source.filter(|source| source.partition == self.at.partition && inputs.contains(&source.topic))
    }
}

/// Which partition a record goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The key's partition; records of one key stay in order.
    Key(String),
    /// This very partition.
    Partition(u32),
}

/// A record to be written.
#[derive(Clone, Debug)]
pub struct Append {
    /// What to write; the topic follows from the event.
    pub message: Arc<Message>,
    /// Where to.
    pub route: Route,
    /// The input record that it answers. A writer that resumes from its own output topic finds here how far it had
    /// come in its inputs, without trusting offsets that a fenced writer may have committed.
    pub source: Option<Position>,
}

impl Append {
    /// How many bytes it takes on its way, roughly.
    pub fn weight(&self) -> usize {
        self.message.weight()
    }
}

/// Something to be done outside the log. Every effect carries an idempotency key: the order id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Charge the customer: one attempt.
    Charge {
        /// The order, and idempotency key.
        order: OrderId,
        /// What it pays.
        reservation: ReservationId,
        /// Whom.
        user: UserId,
        /// How much.
        amount: Money,
        /// How.
        payment: kbnt_domain::event::PaymentMethod,
    },
    /// Ask the gateway what became of the charge of an order.
    QueryCharge {
        /// The order, and idempotency key.
        order: OrderId,
    },
    /// See to it that an order is not charged any more, and say whether it was.
    CloseCharge {
        /// The order, and idempotency key.
        order: OrderId,
    },
    /// Undo a charge: one attempt.
    Refund {
        /// The order, and idempotency key.
        order: OrderId,
        /// The charge; `None` where the gateway gave it no name that can be used.
        transaction: Option<TransactionId>,
        /// How much.
        amount: Money,
    },
    /// Tell the customer: one attempt.
    Notify {
        /// The order, and idempotency key.
        order: OrderId,
        /// Whom.
        user: UserId,
        /// Which kind of message, such as `order-confirmed`.
        template: &'static str,
        /// The event to tell about.
        about: Arc<Message>,
    },
}

impl Effect {
    /// The order that it is for.
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Charge { order, .. }
            | Self::QueryCharge { order }
            | Self::CloseCharge { order }
            | Self::Refund { order, .. }
            | Self::Notify { order, .. } => *order,
        }
    }
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EffectOutcome {
    /// The charge is made.
    Charged {
        /// The gateway's name for it.
        transaction: TransactionId,
    },
    /// The charge is made, and the gateway's name for it is no [`TransactionId`].
    ChargedUnnamed {
        /// For people.
        detail: String,
    },
    /// The gateway refused for good; nothing was charged.
    Declined,
    /// Nothing was charged, and another attempt may succeed (unreachable, overloaded, or a query that found nothing).
    NotCharged {
        /// For people.
        detail: String,
    },
    /// Nobody knows whether the charge was made: it must be queried.
    Unknown {
        /// For people.
        detail: String,
    },
    /// As [`EffectOutcome::Unknown`], but the gateway has answered: with something that makes no sense.
    Senseless {
        /// For people.
        detail: String,
    },
    /// Nothing was charged and nothing will be: a later charge under this key is refused.
    Closed,
    /// The refund is made (or was before).
    Refunded,
    /// The refund did not go through, or nobody knows; it is safe to try again.
    NotRefunded {
        /// For people.
        detail: String,
    },
    /// The customer was told.
    Notified {
        /// By which way.
        channel: &'static str,
    },
    /// The customer was not told.
    NotNotified {
        /// By which way.
        channel: &'static str,
        /// For people.
        detail: String,
        /// Whether another attempt may succeed.
        retry: bool,
    },
}

/// A service as a deterministic state machine. See the [module](self) for how it is driven.
pub trait Machine: Send + 'static {
    /// Which service it is; its inputs and its output topic follow.
    fn service(&self) -> Service;

    /// The present time: before anything is folded, and then before every batch. It may be before the time of earlier steps, where
    /// the clock was wrong then and has been put right; and no record was written after it, whatever it says.
    fn set_clock(&mut self, _now: Timestamp) {}

    /// Whether it decides by time, and so must not decide while the clock is off.
    fn decides_by_time(&self) -> bool {
        false
    }

    /// Partition `partition` of all input topics and of the output topic is this process's from now on.
    fn assigned(&mut self, partition: u32);

    /// Another process has the partition now: forget its state.
    fn revoked(&mut self, partition: u32);

    /// Takes in a record of the service's own output topic, while recovering.
    fn fold(&mut self, record: &Delivered);

    /// All of `partition` is folded: writes what a crash may have kept from being written.
    fn recovered(&mut self, _partition: u32, _outbox: &mut Outbox) {}

    /// These input records come next, if nothing comes between: time to bring near what they will need.
    fn foresee(&self, _coming: &mut dyn Iterator<Item = &Delivered>) {}

    /// Takes in an input record.
    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox);

    /// There is an input record that nobody understands. Whoever keeps it must keep it whole.
    fn unreadable(&mut self, _record: &Unreadable, _outbox: &mut Outbox) {}

    /// What to write where the log has refused `append` for its size; `None` if that was the least.
    fn shortened(&self, _append: &Append) -> Option<Append> {
        None
    }

    /// An effect for `order` came to an end.
    fn completed(&mut self, _order: OrderId, _outcome: EffectOutcome, _outbox: &mut Outbox) {}

    /// Time has passed.
    fn tick(&mut self, _outbox: &mut Outbox) {}

    /// When `tick` has something to do next.
    fn next_tick(&self) -> Option<Timestamp> {
        None
    }

    /// How many orders or records were taken in that it is not done with, because it waits for the world outside or for its own
    /// records. While there are many, the runtime takes in no more, so that they stay few however far behind it is. What waits for an
    /// input does not count.
    fn in_hand(&self) -> usize {
        0
    }

    /// How many orders have waited for the world outside so long that a person should look.
    fn stuck(&self) -> usize {
        0
    }

    /// The lowest offset of an input partition that must be read again after a restart, because its answer is not
    /// written yet. `None`: all that was handled is answered.
    fn hold(&self, topic: Topic, partition: u32) -> Option<u64>;

    /// Stretches of an input partition below the committed offset of which its own records do not say that they were handled.
    /// They are read again before anything new: its own records count, and a commit is never believed against them.
    fn unanswered(&self, _topic: Topic, _partition: u32, _committed: u64) -> Vec<Range<u64>> {
        Vec::new()
    }

    /// Of partitions of event stores that it reads the position after the last record that was there, as its own records say: known
    /// once it has followed them all.
    fn witnessed(&self) -> Vec<Position> {
        Vec::new()
    }

    /// Whether it still takes in what is there already when the process is told to stop: for a machine that only writes down what
    /// others did.
    fn drains(&self) -> bool {
        false
    }

    /// Whether one process at a time has all partitions, settled by elections in the log instead of by a group.
    fn sole_writer(&self) -> bool {
        false
    }

    /// Of a sole writer: writes its election to every partition, with a term above every one that it has folded.
    fn elect(&mut self, _outbox: &mut Outbox) {}

    /// Of a sole writer that has recovered: the next input offsets to handle; partitions not named start at 0.
    fn resume(&self) -> Vec<Position> {
        Vec::new()
    }

    /// Whether [`Machine::follow`] is to be called.
    fn follows(&self) -> bool {
        self.sole_writer()
    }

    /// Takes in a record of its own output topic, of any partition and whoever wrote it, as it appears in the log;
    /// records of fenced writers are left out. It starts at the first record (for a sole writer, which has folded
    /// them all: after its election), and is at the end of every partition before the first `assigned`.
    fn follow(&mut self, _record: &Delivered) {}

    /// Why the machine must not write any more; the runtime then stops without writing what is in hand.
    fn halted(&self) -> Option<Halt> {
        None
    }

    /// Of a sole writer at work: all that it knows, as if everything that it wrote were read back.
    fn image(&self) -> Option<Image> {
        None
    }

    /// Of a sole writer that has seen nothing yet: takes up what an image knows, instead of folding what it stands for.
    fn restore(&mut self, _image: Image) -> Result<(), ImageError> {
        Ok(())
    }
}

/// Why a machine must not write any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A newer writer has been elected: harmless, it goes on.
    Fenced(Writer),
    /// An invariant is violated: a bug, and a person must look.
    Broken(String),
}

/// Collects what a step writes and does. Made anew by the runtime for each step or batch of steps.
#[derive(Debug)]
pub struct Outbox {
    service: Service,
    now: Timestamp,
    writer: Option<Arc<Writer>>,
    cause: Option<Cause>,
    appends: Vec<Append>,
    effects: Vec<Effect>,
}

/// What a step answers.
#[derive(Clone, Debug)]
struct Cause {
    id: EventId,
    trace: Trace,
    source: Option<Position>,
    ordinal: u32,
}

impl Outbox {
    /// An empty outbox at time `now`.
    pub const fn new(service: Service, now: Timestamp) -> Self {
        Self { service, now, writer: None, cause: None, appends: Vec::new(), effects: Vec::new() }
    }

    /// The time of this step.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets the time of the steps that follow; never back.
    pub fn set_now(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    /// Marks what is written from now on as `writer`'s.
    pub fn sign(&mut self, writer: Arc<Writer>) {
        self.writer = Some(writer);
    }

    /// What is emitted from now on answers `record`.
    pub fn answer(&mut self, record: &Delivered) {
        self.cause = Some(Cause {
            id: record.message.id,
            trace: record.message.trace,
            source: Some(record.at),
            ordinal: 0,
        });
    }

    /// What is emitted from now on answers an event that was handled in an earlier step.
    pub fn answer_earlier(&mut self, id: EventId, trace: Trace) {
        self.cause = Some(Cause { id, trace, source: None, ordinal: 0 });
    }

    /// What is emitted from now on answers no record: a person or a clock asked for it.
    pub fn unprompted(&mut self) {
        self.cause = None;
    }

    /// Writes `event` as the next answer to the current cause; its id follows from the cause and the ordinal.
    ///
    /// # Panics
    /// Where there is no cause: a step that answers nothing must name its events.
    pub fn emit(&mut self, event: impl Into<Event>) -> EventId {
        let ordinal = self.cause.as_ref().map_or(0, |cause| cause.ordinal);
        self.emit_as(ordinal, event)
    }

    /// Writes `event` as the answer number `ordinal` to the current cause. For answers of which a crash may keep the first
    /// and lose the second: the one that is made good must not get the id of the one that is there.
    ///
    /// # Panics
    /// Where there is no cause: a step that answers nothing must name its events.
    pub fn emit_as(&mut self, ordinal: u32, event: impl Into<Event>) -> EventId {
        let Some(cause) = &mut self.cause else {
            unreachable!("an event without a cause must be named");
        };
        let id = EventId::caused_by(&cause.id, self.service.name(), ordinal);
        cause.ordinal = ordinal + 1;
        self.push(id, event.into());
        id
    }

    /// Writes `event` under the id that stands for `name`; whoever repeats the step writes the same id.
    pub fn emit_named(&mut self, name: &str, event: impl Into<Event>) -> EventId {
        let id = EventId::named(name);
        self.push(id, event.into());
        id
    }

    /// Writes `event` to a given partition, under the id that stands for `name`.
    pub fn emit_to(&mut self, partition: u32, name: &str, event: impl Into<Event>) -> EventId {
        let id = self.emit_named(name, event);
        if let Some(append) = self.appends.last_mut() {
            append.route = Route::Partition(partition);
        }
        id
    }

    /// Does `effect` once everything written so far is acknowledged.
    pub fn perform(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Hands over what was collected.
    pub fn take(&mut self) -> (Vec<Append>, Vec<Effect>) {
        self.cause = None;
        (std::mem::take(&mut self.appends), std::mem::take(&mut self.effects))
    }

    /// As [`Outbox::take`], into these.
    pub fn take_into(&mut self, appends: &mut Vec<Append>, effects: &mut Vec<Effect>) {
        self.cause = None;
        appends.append(&mut self.appends);
        effects.append(&mut self.effects);
    }

    fn push(&mut self, id: EventId, event: Event) {
        let key = Subject::of(&event).key();
        let (cause, trace, source) = match &self.cause {
            Some(cause) => (Some(cause.id), cause.trace.child(&id), cause.source),
            None => (None, Trace::root(&id), None),
        };
        let writer = if event_is_shared_stock(self.service) { self.writer.clone() } else { None };
        let message = Message { id, at: self.now, service: self.service, cause, trace, writer, event };
        let route = key.map_or(Route::Partition(0), Route::Key);
        self.appends.push(Append { message: Arc::new(message), route, source });
    }
}

/// Only inventory-service decides over shared state, so only its records name their writer.
const fn event_is_shared_stock(service: Service) -> bool {
    matches!(service, Service::Inventory)
}
