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

use options::Command;

fn main() -> ExitCode {
    let outcome = match Command::read() {
        Ok(Command::Faults(options)) => system::block_on(run::run(options)),
        Ok(Command::Soak(options)) => system::block_on(soak::run(options)),
        Ok(Command::Plot(options)) => soak::plot_again(&options),
        Err(code) => return code,
    };
    let judged = |is_sound| if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    outcome.map_or_else(|failure| failure.explain(), judged)
}
