//! What is shown on stdout and said on stderr. Everything that is shown goes through here: nothing of it panics where
//! stdout is closed or full, and nothing that others wrote can play with the terminal.

use std::fmt::Display;
use std::io::Write;

use serde_json::Value;

use crate::failure::Failure;

pub(crate) use kbnt_wire::text::{is_plain, plain, plain_json};

/// Shows a line; what is not plain text in it is escaped.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{}\n", plain(text)).as_bytes())
}

/// Shows lines whose parts are plain already, in colours where there is a terminal.
pub(crate) fn page(text: impl Display) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Shows a JSON value on one line.
pub(crate) fn json(value: &Value) -> Result<(), Failure> {
    bytes(format!("{}\n", plain_json(&value.to_string())).as_bytes())
}

/// Shows bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Says on stderr what is wrong. Where that cannot be written to, nobody can be told.
pub(crate) fn complain(what: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "kbnt: {}", plain(&what.to_string()));
}
