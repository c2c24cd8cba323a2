//! The command line.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser};

use crate::failure::Failure;

/// Break the services on a real broker under load, and check what they did. It makes networks and mounts, so it must be
/// run as root in network, mount and process namespaces of its own, as e2e/chaos/run.sh does.
#[derive(Clone, Debug, Parser)]
pub(crate) enum Command {
    /// Break services and broker in every way, for a while
    Faults(Options),
    /// Kill services and cut the log, for hours
    Soak(SoakOptions),
    /// Draw the plot of a soak once more, from what was measured
    Plot(PlotOptions),
}

/// Options of a run with all faults.
#[derive(Clone, Debug, Args)]
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

/// Options of a soak.
#[derive(Clone, Debug, Args)]
pub(crate) struct SoakOptions {
    /// The program whose services are run
    #[arg(long)]
    pub(crate) kbnt: PathBuf,
    /// The script that starts a broker
    #[arg(long, default_value = "e2e/kafka/broker.sh")]
    pub(crate) broker: PathBuf,
    /// Where the log, what the services keep, their log lines and what is measured lie; nothing may be there
    #[arg(long)]
    pub(crate) directory: PathBuf,
    /// For how long orders come
    #[arg(long, default_value = "2h", value_parser = time)]
    pub(crate) duration: Duration,
    /// Orders a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub(crate) rate: u64,
    /// The time between two cuts of the log
    #[arg(long, default_value = "5m", value_parser = time)]
    pub(crate) cut_every: Duration,
    /// How old a record must be to be cut
    #[arg(long, default_value = "1m", value_parser = time)]
    pub(crate) keep: Duration,
    /// The time between two kills
    #[arg(long, default_value = "1m", value_parser = time)]
    pub(crate) kill_every: Duration,
    /// The time between two checkpoints of a service
    #[arg(long, default_value = "1m", value_parser = time)]
    pub(crate) checkpoint_every: Duration,
    /// The time between two measurements
    #[arg(long, default_value = "10s", value_parser = time)]
    pub(crate) sample_every: Duration,
    /// For how long audit-logs and notification-events are kept
    #[arg(long, default_value = "15m", value_parser = time)]
    pub(crate) retention: Duration,
    /// The checker forgets an order of which it has heard nothing for three times this long
    #[arg(long, default_value = "1m", value_parser = time)]
    pub(crate) turn: Duration,
    /// So many partitions of inventory-events are made so long before the first order that they can be cut
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..=3))]
    pub(crate) long_partitions: i32,
    /// How long a reservation holds
    #[arg(long, default_value = "60s")]
    pub(crate) reservation_ttl: String,
    /// Which service is killed when; what the machine decides is another matter
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Where the plot is written
    #[arg(long)]
    pub(crate) plot: Option<PathBuf>,
}

/// Options of a plot.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlotOptions {
    /// What was measured
    pub(crate) from: PathBuf,
    /// The plot
    pub(crate) to: PathBuf,
}

fn time(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

impl Command {
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
