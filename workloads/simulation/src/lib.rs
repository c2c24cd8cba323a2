//! Deterministic simulation of the whole saga: the machines and the driver that ship, on an in-memory log, under a scheduler
//! that derives every choice from a seed. No threads, no clock, no I/O: the same seed is the same run. It only carries events and
//! commands ([`kbnt_application::driver`]), and decides when each request is answered.
//!
//! `plan` says what happens, `faults` what goes wrong and `checks` what must hold.

mod carry;
mod checks;
mod faults;
mod log;
mod node;
mod plan;
mod process;
pub mod screen;
mod world;

pub use checks::Failure;
use world::World;

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

/// Runs one seed; with `trace`, every step is printed.
pub fn run(seed: u64, trace: bool) -> Result<Report, Failure> {
    let mut world = World::new(seed, trace);
    world.run().map_err(|what| Failure { seed, step: world.step, what })
}
