//! What the programs of this crate show: nothing of it panics where stdout is closed or full.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// The exit code where whoever reads has gone away, as a shell shows it: 128 and the number of SIGPIPE.
const READER_GONE: u8 = 128 + 13;

/// Shows a line.
///
/// # Errors
/// stdout is closed or full.
pub fn show(line: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Says what is wrong; where stderr cannot be written to, nobody can be told.
pub fn complain(what: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{what}");
}

/// The exit code of a program that could not show something. A reader that has gone away is no reason to say anything.
pub fn unshown(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::from(READER_GONE);
    }
    complain(format_args!("stdout cannot be written to: {error}"));
    ExitCode::FAILURE
}

/// Shows help or the version, or says what is wrong with the command line.
pub fn explain(error: &clap::Error) -> ExitCode {
    match error.print().and_then(|()| io::stdout().flush()) {
        Err(failed) if !error.use_stderr() => unshown(&failed),
        _ => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}
