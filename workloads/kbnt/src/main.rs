//! The kbnt program: wiring and command line.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod audit;
mod backup;
mod cli;
mod demo;
mod dispatch;
mod dlq;
mod failure;
mod life;
mod log;
mod openapi;
mod origin;
mod output;
mod serve;
mod service;
mod simulator;
mod tail;
mod topics;
mod wiring;

use std::process::ExitCode;

use cli::Cli;

/// Records are allocated on one thread and freed on another, which the C library's own allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = Cli::read().map_or_else(cli::explain, |cli| dispatch::run(cli.command));
    outcome.unwrap_or_else(|failure| {
        if !failure.is_silent() {
            output::print_error(&failure);
        }
        failure.code()
    })
}
