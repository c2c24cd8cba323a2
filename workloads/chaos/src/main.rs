//! `kbnt-chaos`: the six services on a broker of their own, under load and harm; then a check of everything in the log.

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

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

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

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(failure::Failure::from)
        .and_then(|runtime| runtime.block_on(run::run(options)));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("kbnt-chaos: {failure}");
            ExitCode::from(2)
        }
    }
}
