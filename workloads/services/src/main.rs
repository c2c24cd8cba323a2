//! The kbnt program: wiring and command line.

mod audit;
mod cli;
mod demo;
mod dlq;
mod failure;
mod openapi;
mod origin;
mod serve;
mod service;
mod simulator;
mod tail;
mod topics;
mod wiring;

use std::process::ExitCode;

use clap::Parser;
use cli::{AuditCommand, Cli, Command, TopicsCommand};
use failure::Failure;

/// Records are allocated on one thread and freed on another, which the C library's own allocator does slowly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(options) => run(demo::run(options)),
        Command::Serve(options) => run(serve::run(options)),
        // Beside the threads of its Kafka clients: two would mostly wake each other.
        Command::Service(options) => run_on(1, service::run(*options)),
        Command::Simulator(options) => run(simulator::run(options)),
        Command::Tail(options) => run(tail::run(options)),
        Command::Openapi => run(openapi::run()),
        Command::Audit(AuditCommand::Verify(options)) => run(audit::run(options)),
        Command::Topics(TopicsCommand::Ensure(options)) => run(topics::run(options)),
        Command::Dlq(command) => run(dlq::run(command)),
    };
    outcome.unwrap_or_else(|failure| {
        anstream::eprintln!("kbnt: {failure}");
        ExitCode::FAILURE
    })
}

/// Runs a command on two threads: whatever it is, it waits more than it works, and each thread costs memory.
fn run(command: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    run_on(2, command)
}

/// Runs a command on so many threads.
fn run_on(
    threads: usize,
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let outcome = runtime.block_on(command);
    // What still blocks a thread by then is not waited for.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome
}
