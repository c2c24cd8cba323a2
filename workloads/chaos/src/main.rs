//! `kbnt-chaos`: the six services on a broker of their own, under load and harm; then a check of everything in the log.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod broker;
mod check;
mod cut;
mod failure;
mod faults;
mod gateway;
mod load;
mod network;
mod poison;
mod run;
mod services;
mod system;
mod topics;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use failure::Failure;

/// Break the services on a real broker under load, and check what they did. It makes networks and mounts, so it must be
/// run as root in network, mount and process namespaces of its own, as e2e/chaos/run.sh does.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// The program whose services are run
    #[arg(long)]
    kbnt: PathBuf,
    /// The script that starts a broker
    #[arg(long, default_value = "e2e/kafka/broker.sh")]
    broker: PathBuf,
    /// The library that gives a process another time than the machine has
    #[arg(long)]
    clock: PathBuf,
    /// How many faults
    #[arg(long, default_value_t = 200)]
    faults: usize,
    /// How many orders
    #[arg(long, default_value_t = 200_000)]
    orders: u64,
    /// Orders a second, at most
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,
    /// The longest pause between two faults, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    pause: u64,
    /// How long a reservation holds
    #[arg(long, default_value = "60s")]
    reservation_ttl: String,
    /// Which faults, when, and what chance decides besides; what the machine decides is another matter
    #[arg(long)]
    seed: Option<u64>,
    /// Keep the services' log lines in this directory
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// The exit code where whoever reads has gone away, as a shell shows it: 128 and the number of SIGPIPE.
const READER_GONE: u8 = 128 + 13;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => {
            let shown = error.print().and_then(|()| io::stdout().flush());
            return match shown {
                Err(failed) if !error.use_stderr() => ended(&Failure::Output(failed)),
                _ => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
            };
        }
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run::run(options)));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => ended(&failure),
    }
}

/// Says why there was no run; the exit code.
fn ended(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(READER_GONE),
        failure => {
            // Where stderr cannot be written to, nobody can be told.
            let _ = writeln!(io::stderr().lock(), "kbnt-chaos: {failure}");
            if matches!(failure, Failure::Output(_)) { ExitCode::FAILURE } else { ExitCode::from(2) }
        }
    }
}
