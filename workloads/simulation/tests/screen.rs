//! What the program shows where nobody reads it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

const COMMANDS: [&[&str]; 4] =
    [&["--help"], &["--seeds", "1"], &["--seed", "1", "--trace"], &["--seeds", "2", "--jobs", "2"]];

fn run(arguments: &[&str], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbnt-simulate"));
    let output = command.args(arguments).stdout(stdout).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_went_away_ends_it_quietly() {
    for arguments in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run(arguments, writer), (Some(141), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_under_stdout_is_an_error() {
    for arguments in COMMANDS {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, said) = run(arguments, full);
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(said.starts_with("stdout cannot be written to: ") && said.lines().count() == 1, "{said}");
    }
}
