//! `kbnt-mutants`: plants each bug of `list.yaml` in a scratch copy of the core, and shows that the simulator or a
//! test catches it.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use kbnt_simulation::screen;
use serde::Deserialize;

/// Plants bugs and shows that each is caught.
#[derive(Debug, Parser)]
struct Options {
    /// Only those whose name contains this, or one of these.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Only shows the list.
    #[arg(long)]
    list: bool,
    /// Only plants them in this copy of the repository
    #[arg(long, value_name = "DIR")]
    plant: Option<PathBuf>,
    /// Seeds that the simulator runs at most for each.
    #[arg(long, default_value_t = 20_000)]
    seeds: u64,
    /// Where the copy is built; kept, so that the next run compiles little.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/mutants"))]
    scratch: PathBuf,
}

/// One planted bug: a text that stands exactly once in a file, and what takes its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    file: String,
    search: String,
    replace: String,
}

/// The crates that the bugs are planted in, and what runs them.
const CRATES: [&str; 4] = ["rules", "domain", "application", "simulation"];

/// Seeds that the simulator runs before the tests have their turn; after them it runs all.
const FIRST_SEEDS: u64 = 3_000;

/// A bug that makes the simulator or the tests run on and on is caught when this is over, or twice the time that all of
/// it takes without a bug: on a busy machine that is more.
const PATIENCE: Duration = Duration::from_mins(4);

/// Without a bug they come to their end, sooner or later.
const PATIENCE_WITHOUT_BUG: Duration = Duration::from_hours(1);

type Failure = Box<dyn std::error::Error>;

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

fn run(options: &Options) -> Result<bool, Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let list = fs::read_to_string(root.join("workloads/mutants/list.yaml"))?;
    let mut mutants: Vec<Mutant> = serde_yaml::from_str(&list)?;
    let wanted = |mutant: &Mutant| {
        options.only.is_empty() || options.only.iter().any(|only| mutant.name.contains(only))
    };
    mutants.retain(wanted);
    if options.list {
        for mutant in &mutants {
            screen::show(format_args!("{:<44} {}", mutant.name, mutant.file))?;
        }
        return Ok(true);
    }
    if let Some(copy) = &options.plant {
        return plant(&mutants, copy);
    }
    copy_core(&root, &options.scratch)?;
    screen::show(format_args!("building the core as it is, and trying that it passes"))?;
    let started = Instant::now();
    if let Some(caught) = caught_by(options, PATIENCE_WITHOUT_BUG)? {
        return Err(format!("without any bug: {caught}").into());
    }
    let patience = PATIENCE.max(started.elapsed() * 2);
    let mut escaped = Vec::new();
    for mutant in &mutants {
        let started = Instant::now();
        let file = options.scratch.join(&mutant.file);
        let sound = fs::read_to_string(&file)?;
        fs::write(&file, planted(mutant, &sound)?)?;
        let caught = caught_by(options, patience);
        fs::write(&file, sound)?;
        let (is_caught, verdict) = match caught {
            Ok(Some(by)) => (true, by),
            Ok(None) => (false, "ESCAPED".to_owned()),
            Err(error) => (false, format!("NOT TRIED: {error}")),
        };
        let took = started.elapsed().as_secs();
        screen::show(format_args!("{:<44} {took:>4} s  {verdict}", mutant.name))?;
        if !is_caught {
            escaped.push(mutant.name.as_str());
        }
    }
    screen::show(format_args!("{} of {} planted bugs caught", mutants.len() - escaped.len(), mutants.len()))?;
    Ok(escaped.is_empty())
}

/// Plants all of these, of which there must be any.
fn plant(mutants: &[Mutant], copy: &Path) -> Result<bool, Failure> {
    for mutant in mutants {
        let file = copy.join(&mutant.file);
        fs::write(&file, planted(mutant, &fs::read_to_string(&file)?)?)?;
    }
    if mutants.is_empty() { Err("no planted bug has such a name".into()) } else { Ok(true) }
}

/// The file with the bug.
fn planted(mutant: &Mutant, sound: &str) -> Result<String, Failure> {
    match sound.matches(&mutant.search).count() {
        1 => Ok(sound.replacen(&mutant.search, &mutant.replace, 1)),
        count => Err(format!("{}: its text stands {count} times in {}", mutant.name, mutant.file).into()),
    }
}

/// A workspace of the core alone, with a profile that compiles quickly.
fn copy_core(root: &Path, scratch: &Path) -> Result<(), Failure> {
    for name in CRATES {
        let (from, to) = (root.join("workloads").join(name), scratch.join("workloads").join(name));
        copy_changed(&from, &to)?;
    }
    for name in ["Cargo.lock", "rust-toolchain.toml"] {
        copy_file(&root.join(name), &scratch.join(name))?;
    }
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let (start, rest) = manifest.split_once("members = [").ok_or("no members in Cargo.toml")?;
    let (_, rest) = rest.split_once(']').ok_or("no end of the members in Cargo.toml")?;
    let (rest, _) = rest.split_once("[profile.").unwrap_or((rest, ""));
    let members: Vec<String> = CRATES.iter().map(|name| format!("\"workloads/{name}\"")).collect();
    let profile = "[profile.release]\nopt-level = 1\noverflow-checks = true\nincremental = true\n";
    let manifest = format!("{start}members = [{}]{rest}{profile}", members.join(", "));
    let path = scratch.join("Cargo.toml");
    if fs::read_to_string(&path).ok().as_deref() != Some(&manifest) {
        fs::write(path, manifest)?;
    }
    Ok(())
}

/// Copies a folder; files that are the same keep their times, so that they are not compiled again.
fn copy_changed(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() {
            let gone = entry.path();
            if gone.is_dir() { fs::remove_dir_all(gone)? } else { fs::remove_file(gone)? }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_changed(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let content = fs::read(from)?;
    if fs::read(to).ok().as_ref() == Some(&content) { Ok(()) } else { fs::write(to, content) }
}

/// What catches the bug that is planted now, if anything does.
fn caught_by(options: &Options, patience: Duration) -> Result<Option<String>, Failure> {
    let simulator = ["build", "--release", "-q", "-p", "kbnt-simulation", "--bin", "kbnt-simulate"];
    let compiled = cargo(options).args(simulator).output()?;
    if !compiled.status.success() {
        return Err(format!("it does not compile:\n{}", String::from_utf8_lossy(&compiled.stderr)).into());
    }
    if let Some(caught) = simulated(options, options.seeds.min(FIRST_SEEDS), patience)? {
        return Ok(Some(caught));
    }
    let mut tests = cargo(options);
    tests.args(["test", "--release", "-q", "--no-fail-fast", "-p", "kbnt-domain", "-p", "kbnt-application"]);
    match patiently(tests.stderr(Stdio::null()), patience)? {
        None => return Ok(Some("tests: one never ends".into())),
        Some((true, _)) => {}
        Some((false, said)) => {
            let failed = said.lines().find_map(|line| Some(line.strip_prefix("---- ")?.split_once(' ')?.0));
            return Ok(Some(format!("test {}", failed.unwrap_or("that did not come to its end"))));
        }
    }
    simulated(options, options.seeds, patience)
}

/// What the simulator has to say after so many seeds.
fn simulated(options: &Options, seeds: u64, patience: Duration) -> Result<Option<String>, Failure> {
    let mut simulator = Command::new(options.scratch.join("target/release/kbnt-simulate"));
    simulator.args(["--jobs", "2", "--seeds", &seeds.to_string()]).stderr(Stdio::null());
    Ok(match patiently(&mut simulator, patience)? {
        None => Some("simulator: it never ends".into()),
        Some((true, _)) => None,
        Some((false, said)) => {
            let first = said.lines().find(|line| line.starts_with("seed ")).unwrap_or("it crashed");
            Some(format!("simulator, {}", shortened(first)))
        }
    })
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(110).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
}

fn cargo(options: &Options) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(&options.scratch).env("CARGO_TARGET_DIR", options.scratch.join("target"));
    cargo
}

/// Runs a command to its end, and what it started with it; `None` if they had to be ended.
fn patiently(command: &mut Command, patience: Duration) -> Result<Option<(bool, String)>, Failure> {
    let mut child = command.stdout(Stdio::piped()).process_group(0).spawn()?;
    let mut stdout = child.stdout.take().ok_or("no output")?;
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        io::Read::read_to_string(&mut stdout, &mut said).map(|_| said)
    });
    let until = Instant::now() + patience;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > until => {
                Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status()?;
                child.wait()?;
                return Ok(None);
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    let said = reader.join().map_err(|_| "its output could not be read")??;
    Ok(Some((status.success(), said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    #[test]
    fn the_copy_has_all_of_ours_that_it_depends_on() {
        for name in CRATES {
            let manifest = root().join("workloads").join(name).join("Cargo.toml");
            for line in fs::read_to_string(&manifest).unwrap().lines() {
                if let Some((needed, _)) = line.strip_prefix("kbnt-").and_then(|rest| rest.split_once('.')) {
                    assert!(CRATES.contains(&needed), "{name} needs {needed}");
                }
            }
        }
    }
}
