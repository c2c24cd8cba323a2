//! `kbnt-mutants`: plants each bug of `list.yaml` in a scratch copy of the core, and shows that the simulator or a
//! test catches it.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use kbnt_mutants::run::{Options, run};
use kbnt_simulation::screen;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return screen::explain(&error),
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => match error.downcast_ref::<io::Error>() {
            Some(gone) if gone.kind() == io::ErrorKind::BrokenPipe => screen::unshown(gone),
            _ => {
                screen::complain(format_args!("kbnt-mutants: {error}"));
                ExitCode::FAILURE
            }
        },
    }
}
