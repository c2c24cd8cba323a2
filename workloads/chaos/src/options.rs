//! The command line.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::failure::Failure;

/// Break the services on a real broker under load, and check what they did. It makes networks and mounts, so it must be
/// run as root in network, mount and process namespaces of its own, as e2e/chaos/run.sh does.
#[derive(Clone, Debug, Parser)]
pub(crate) struct Options {
    /// The program whose services are run
    #[arg(long)]
    pub(crate) kbnt: PathBuf,
    /// The script that starts a broker
    #[arg(long, default_value = "e2e/kafka/broker.sh")]
    pub(crate) broker: PathBuf,
    /// The library that gives a process another time than the machine has
    #[arg(long)]
    pub(crate) clock: PathBuf,
    /// How many faults
    #[arg(long, default_value_t = 200)]
    pub(crate) faults: usize,
    /// How many orders
    #[arg(long, default_value_t = 200_000)]
    pub(crate) orders: u64,
    /// Orders a second, at most
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rate: u64,
    /// The longest pause between two faults, in milliseconds
    #[arg(long, default_value_t = 2_000)]
    pub(crate) pause: u64,
    /// How long a reservation holds
    #[arg(long, default_value = "60s")]
    pub(crate) reservation_ttl: String,
    /// Which faults, when, and what chance decides besides; what the machine decides is another matter
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Keep the services' log lines in this directory
    #[arg(long)]
    pub(crate) keep: Option<PathBuf>,
}

impl Options {
    /// Reads the command line, or shows help or the version, or says what is wrong; the exit code then.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Self::try_parse().map_err(|error| {
            let shown = error.print().and_then(|()| io::stdout().flush());
            match shown {
                Err(failed) if !error.use_stderr() => Failure::Output(failed).explain(),
                _ => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
            }
        })
    }
}
