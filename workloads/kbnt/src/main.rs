//! The kbnt program: wiring and command line.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod audit;
mod cli;
mod demo;
mod dlq;
mod failure;
mod life;
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

use cli::{AuditCommand, Cli, Command, TopicsCommand};
use failure::Failure;
use life::Kind::{Does, Serves};

/// Records are allocated on one thread and freed on another, which the C library's own allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A command waits more than it works, and each thread costs memory.
const THREADS: usize = 2;

fn main() -> ExitCode {
    let outcome = match Cli::read() {
        Ok(cli) => run(cli.command),
        Err(error) => cli::explain(error),
    };
    outcome.unwrap_or_else(|failure| {
        if !failure.is_silent() {
            output::print_error(&failure);
        }
        failure.code()
    })
}

fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(options) => life::run(Does, THREADS, |_| demo::run(options)),
        Command::Serve(options) => life::run(Serves, THREADS, |life| serve::run(options, life)),
        // One thread besides those of its Kafka clients: two would mostly wake each other.
        Command::Service(options) => life::run(Serves, 1, |life| service::run(*options, life)),
        Command::Simulator(options) => life::run(Serves, THREADS, |life| simulator::run(options, life)),
        Command::Tail(options) => life::run(Serves, THREADS, |life| tail::run(options, life)),
        Command::Openapi => life::run(Does, THREADS, |_| openapi::run()),
        Command::Audit(AuditCommand::Verify(options)) => life::run(Does, THREADS, |_| audit::run(options)),
        Command::Topics(TopicsCommand::Ensure(options)) => life::run(Does, THREADS, |_| topics::run(options)),
        Command::Dlq(command) => life::run(Does, THREADS, |_| dlq::run(command)),
    }
}
