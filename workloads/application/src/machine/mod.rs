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

mod effect;
mod outbox;
mod record;

use std::ops::Range;

use kbnt_domain::event::Writer;
use kbnt_domain::stock::image::ImageError;
use kbnt_domain::{OrderId, Timestamp};

use crate::inventory::Image;
use crate::message::{Service, Topic};

pub use crate::message::Position;
pub use effect::{Effect, EffectOutcome, NotificationRequest, PaymentRequest};
pub use outbox::Outbox;
pub use record::{Append, Delivered, RawRecord, Route, Unreadable};

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
