//! `kbnt-chaos`: the six services on a broker of their own, under load and harm, and a check of everything in the log.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod broker;
mod check;
mod cut;
mod failure;
mod faults;
mod gateway;
mod load;
mod network;
mod options;
mod poison;
mod report;
mod run;
mod services;
mod soak;
mod system;
mod topics;

use std::process::ExitCode;

use failure::Failure;
use options::Command;

fn main() -> ExitCode {
    let command = match Command::read() {
        Ok(command) => command,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.map_err(Failure::from).and_then(|runtime| match command {
        Command::Faults(options) => runtime.block_on(run::run(options)),
        Command::Soak(options) => runtime.block_on(soak::run(options)),
        Command::Plot(options) => soak::plot_again(&options),
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.explain(),
    }
}
