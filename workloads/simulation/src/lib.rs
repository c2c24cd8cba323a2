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

pub use checks::{Failure, Report};
use world::World;

/// Runs one seed; with `trace`, every step is printed.
pub fn run(seed: u64, trace: bool) -> Result<Report, Failure> {
    let mut world = World::new(seed, trace);
    world.run().map_err(|what| Failure { seed, step: world.step, what })
}
