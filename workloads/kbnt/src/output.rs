//! Output on stdout and errors on stderr. All output goes through here: it never panics when stdout is closed
//! or full, and data from others cannot control the terminal.

use std::fmt::Display;
use std::io::Write;

use serde_json::Value;

use crate::failure::Failure;

pub(crate) use kbnt_wire::text::{is_plain, plain, plain_json};

/// Prints a line, with control characters escaped.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{}\n", plain(text)).as_bytes())
}

/// Prints lines whose parts are plain already, with colours on a terminal.
pub(crate) fn page(text: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Prints a JSON value on one line.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    bytes(format!("{}\n", plain_json(&value.to_string())).as_bytes())
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Prints an error on stderr. If that cannot be written to, there is nowhere to report it.
pub(crate) fn print_error(what: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "kbnt: {}", plain(&what.to_string()));
}
