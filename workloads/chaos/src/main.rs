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
mod options;
mod poison;
mod run;
mod services;
mod system;
mod topics;

use std::process::ExitCode;

use failure::Failure;
use options::Options;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(run::run(options)));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => failure.explain(),
    }
}
