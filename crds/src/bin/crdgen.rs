//! Writes the custom resource definitions to `crds/generated` and `charts/kbnt-crds/templates`, or with `--check`
//! tells whether what lies there is what the types say.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kbnt_crds::generate;

fn main() -> ExitCode {
    let check = std::env::args().any(|argument| argument == "--check");
    match run(check) {
        Ok(stale) if stale.is_empty() => ExitCode::SUCCESS,
        Ok(stale) => {
            for path in stale {
                print_error(format_args!("{} is stale: run `make generate`", path.display()));
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            print_error(error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error. If stderr cannot be written to, there is nowhere to report it.
fn print_error(what: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{what}");
}

/// Prints a line. A missing reader is no reason to leave files unwritten.
fn show(line: impl Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

fn run(check: bool) -> Result<Vec<PathBuf>, Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifests =
        generate::manifests()?.into_iter().map(|(name, text)| (root.join("crds/generated").join(name), text));
    let templates = generate::templates()?
        .into_iter()
        .map(|(name, text)| (root.join("charts/kbnt-crds/templates").join(name), text));
    let mut stale = Vec::new();
    for (path, text) in manifests.chain(templates) {
        if std::fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if check {
            stale.push(path);
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text)?;
        show(format_args!("wrote {}", path.display()))?;
    }
    Ok(stale)
}
