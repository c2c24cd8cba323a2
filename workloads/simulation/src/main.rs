//! `kbnt-simulate`: runs the saga under many seeds.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod seeds;

use std::process::ExitCode;

use clap::Parser as _;
use kbnt_simulation::screen;

/// Messages, texts and lists come and go with every step of a simulated process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match seeds::Options::try_parse() {
        Ok(options) => seeds::run(&options),
        Err(error) => screen::explain(&error),
    }
}
