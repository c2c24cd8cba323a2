//! Which part of the program runs a command, on how many threads.

use std::process::ExitCode;

use crate::cli::{AuditCommand, Command, LogCommand, TopicsCommand};
use crate::failure::Failure;
use crate::life::Kind::{Does, Serves};
use crate::{audit, backup, demo, dlq, life, log, openapi, serve, service, simulator, tail, topics};

/// A command waits more than it works, and each thread costs memory.
const THREADS: usize = 2;

/// Runs it to its end; its exit code.
pub(crate) fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Demo(options) => life::run(Does, THREADS, |_| demo::run(options)),
        Command::Serve(options) => life::run(Serves, THREADS, |life| serve::run(*options, life)),
        // One thread besides those of its Kafka clients: two would mostly wake each other.
        Command::Service(options) => life::run(Serves, 1, |life| service::run(*options, life)),
        Command::Simulator(options) => life::run(Serves, THREADS, |life| simulator::run(options, life)),
        Command::Tail(options) => life::run(Serves, THREADS, |life| tail::run(options, life)),
        Command::Openapi => life::run(Does, THREADS, |_| openapi::run()),
        Command::Audit(AuditCommand::Verify(options)) => life::run(Does, THREADS, |_| audit::run(options)),
        Command::Log(LogCommand::Verify(options)) => life::run(Does, THREADS, |_| log::run(options)),
        Command::Log(LogCommand::Cut(options)) => life::run(Does, THREADS, |_| log::cut(options)),
        Command::Backup(options) => life::run(Does, THREADS, |_| backup::run(options)),
        Command::Restore(options) => life::run(Does, THREADS, |_| backup::restore(options)),
        Command::Topics(TopicsCommand::Ensure(options)) => life::run(Does, THREADS, |_| topics::run(options)),
        Command::Dlq(command) => life::run(Does, THREADS, |_| dlq::run(command)),
    }
}
