//! What a service is to its runtime: a state machine that is stepped.
//!
//! # How a runtime drives a machine
//! 1. [`Machine::assigned`] for a partition, then [`Machine::fold`] for each record of that partition of the
//!    machine's own output topic, from the first that it [looks back](Machine::looks_back) to until the end, then
//!    [`Machine::recovered`].
//!    What is [`Auditor::unanswered`] below the committed offsets is handled then.
//! 2. [`Machine::handle`] for each input record of that partition, in order; one that nobody understands is for an [`Auditor`] only.
//! 3. After a batch of steps: append what the [`Outbox`] collected, wait until all of it is acknowledged, only then start
//!    the effects and commit the offsets, each held back to [`Machine::hold`].
//! 4. [`Machine::tick`] when the time that [`Machine::next_tick`] names has come.
//!
//! How it goes with a machine that writes alone is said at [`SoleWriter`].
//!
//! A machine must be ready to see any input again after a crash, and to lose what it wrote and did not see
//! acknowledged, each partition's tail on its own.

mod auditor;
mod effect;
mod image;
mod outbox;
mod record;
mod writer;

use kbnt_domain::{OrderId, Timestamp};

use crate::event::Writer;
use crate::message::{Service, Topic};

pub use crate::message::Position;
pub use auditor::Auditor;
pub use effect::{
    Effect, EffectOutcome, NotificationOutcome, NotificationRequest, PaymentOutcome, PaymentRequest,
};
pub use image::{ImageOf, Imaged};
pub use outbox::Outbox;
pub(crate) use record::record_hash;
pub use record::{Append, Delivered, RawRecord, Route, Unreadable};
pub use writer::SoleWriter;

/// Which records of its own output topic a member of a group is shown by [`Machine::follow`]; a sole writer is shown all that come
/// after its election.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follows {
    /// None.
    #[default]
    Nothing,
    /// From the first that it [looks back](Machine::looks_back) to, and all that come.
    Newest,
    /// All, from the first one on, or from where an [image](Imaged) of it stands.
    Everything,
}

/// A service as a deterministic state machine. See the [module](self) for how it is driven.
pub trait Machine: Send + 'static {
    /// What writes alone: the machine itself, or [`Infallible`](std::convert::Infallible) where it shares its work with others of its
    /// group.
    type Sole: SoleWriter;

    /// What takes images: the machine itself, or [`Infallible`](std::convert::Infallible).
    type Imaged: Imaged;

    /// Which service it is; its inputs and its output topic follow.
    fn service(&self) -> Service;

    /// The present time: before anything is folded, and then before every batch of records or steps. It may be before the
    /// time of earlier steps, where the clock was wrong then and has been put right; and no record was written after it,
    /// whatever it says.
    fn set_clock(&mut self, _now: Timestamp) {}

    /// Whether it decides by time, and so must not decide while the clock is off.
    fn decides_by_time(&self) -> bool {
        false
    }

    /// Partition `partition` of all input topics and of the output topic is this process's from now on.
    fn assigned(&mut self, partition: u32);

    /// Another process has the partition now: forget its state.
    fn revoked(&mut self, partition: u32);

    /// How many of the newest records of a partition of its own output topic it folds, as nothing that lies before them changes what it
    /// knows in the end. `None`: all of them, from the first one on.
    fn looks_back(&self) -> Option<u64> {
        None
    }

    /// Takes in a record of the service's own output topic, while recovering.
    fn fold(&mut self, record: &Delivered);

    /// All of `partition` is folded: writes what a crash may have kept from being written.
    fn recovered(&mut self, _partition: u32, _outbox: &mut Outbox) {}

    /// Takes in an input record.
    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox);

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

    /// It as an auditor, if that is what it is.
    fn auditor(&mut self) -> Option<&mut dyn Auditor> {
        None
    }

    /// It as the only writer, if that is what it is.
    fn sole_writer(&mut self) -> Option<&mut Self::Sole> {
        None
    }

    /// It as what takes images, if it does.
    fn imaged(&mut self) -> Option<&mut Self::Imaged> {
        None
    }

    /// What [`Machine::follow`] shows it as a member of a group.
    fn follows(&self) -> Follows {
        Follows::Nothing
    }

    /// Takes in a record of its own output topic, of any partition and whoever wrote it, as it appears in the log;
    /// records of fenced writers are left out. A member is at the end of every partition before the first `assigned`.
    fn follow(&mut self, _record: &Delivered) {}
}

/// Why a machine must not write any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A newer writer has been elected: harmless, it goes on.
    Fenced(Writer),
    /// An invariant is violated: a bug, and a person must look.
    Broken(String),
    /// The archive of closed orders has failed: the next start goes on with it, or fills it again from the log.
    Archive(String),
}
