//! Deterministic simulation of the whole saga: the machines and the driver that ship, on an in-memory log, under a scheduler
//! that derives every choice from a seed. No threads, no clock, no I/O: the same seed is the same run. It only carries events and
//! commands ([`kbnt_application::driver`]), and decides when each request is answered.
//!
//! # What goes wrong
//! Records arrive late, twice and out of order between partitions, and a reader lags behind what its own process wrote. Any process
//! crashes between any two steps, or is stopped and hands over; what it had not seen acknowledged is lost from each partition on its
//! own, or gets in later; an append is repeated, or refused after any part of it got in: for good, or for the size of a record.
//! Partitions move between processes, in the middle of a batch and while they are still being recovered; one that has lost a
//! partition may go on for a while as a zombie. Commits are refused, acknowledged and lost, or lose their note. A second
//! inventory writer comes up beside the first, or stands by and loses its lease, and each begins with the newest snapshot, with
//! an older one or with the log; snapshots are taken after any batch. In every other run it leaves all closed orders but a few to an
//! archive on a disk: in a crash the disk falls back to any time since it was synced, it is full, damaged or unreadable for a while, and
//! between two processes it is lost, old or another one's; hours pass, so that orders are forgotten. There are as many places for effects, records of a read and
//! orders in hand as production has, or hardly any. Clocks differ and jump, by a little or by hours, and are put right. The
//! gateway declines, is away, answers late, twice or not at all. Customers retry, reuse ids and cancel at any time, while
//! stock is received and written off and users are blocked. Records get into the log that nobody understands, and
//! persons see to them. A program that is none of the services writes into their topics: in partitions that are not the
//! key's, at times of the year 0 or 9999, and with notes of what it answers that are not true. When all is checked, the first
//! records of an event store are lost.
//!
//! # What must hold
//! After every step the books balance, in the machines and in an independent model of the raw log. In the end, with all
//! faults over, every order has one final state, every reservation is resolved, every charge belongs to a confirmed
//! order or was refunded exactly once, and the audit chain holds every record once; what nobody understands is kept there,
//! as is what lies in the wrong partition, of which nothing else comes.
//! And where records are lost, whoever would have to read them does not decide.

mod carry;
mod checks;
mod faults;
mod log;
mod node;
mod plan;
mod process;
pub mod screen;
mod world;

use thiserror::Error;

pub use world::World;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps that the scheduler took.
    pub steps: u64,
    /// Orders that were placed.
    pub orders: u64,
    /// Of them, confirmed ones.
    pub confirmed: u64,
    /// Records that were written.
    pub records: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// Closed orders that were brought back from an archive.
    pub recalled: u64,
    /// A digest of the whole log, to compare runs with.
    pub digest: u64,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.orders += other.orders;
        self.confirmed += other.confirmed;
        self.records += other.records;
        self.faults += other.faults;
        self.recalled += other.recalled;
        self.digest ^= other.digest;
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("seed {seed}, step {step}: {what}")]
pub struct Failure {
    /// Reproduces it.
    pub seed: u64,
    /// When it showed.
    pub step: u64,
    /// What is wrong.
    pub what: String,
}

/// Runs one seed; with `trace`, every step is printed.
pub fn run(seed: u64, trace: bool) -> Result<Report, Failure> {
    let mut world = World::new(seed, trace);
    world.run().map_err(|what| Failure { seed, step: world.steps(), what })
}
