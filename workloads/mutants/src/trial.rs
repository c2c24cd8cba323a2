//! Whether the simulator or a test catches what is planted.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// Seeds that the simulator runs before the tests have their turn; after them it runs all.
const FIRST_SEEDS: u64 = 3_000;

/// The copy with a bug, and how long it is looked for.
pub(crate) struct Trial<'a> {
    pub(crate) scratch: &'a Path,
    /// Seeds that the simulator runs at most.
    pub(crate) seeds: u64,
    /// Processors for it.
    pub(crate) jobs: usize,
}

impl Trial<'_> {
    /// What catches the bug that is planted now, if anything does.
    pub(crate) fn caught_by(&self, patience: Duration) -> Result<Option<String>, Failure> {
        let simulator = ["build", "--release", "-q", "-p", "kbnt-simulation", "--bin", "kbnt-simulate"];
        let compiled = self.cargo().args(simulator).output()?;
        if !compiled.status.success() {
            return Err(format!("it does not compile:\n{}", String::from_utf8_lossy(&compiled.stderr)).into());
        }
        if let Some(caught) = self.simulated(self.seeds.min(FIRST_SEEDS), patience)? {
            return Ok(Some(caught));
        }
        let mut tests = self.cargo();
        tests.args([
            "test",
            "--release",
            "-q",
            "--no-fail-fast",
            "-p",
            "kbnt-domain",
            "-p",
            "kbnt-application",
        ]);
        match patiently(tests.stderr(Stdio::null()), patience)? {
            None => return Ok(Some("tests: one never ends".into())),
            Some((true, _)) => {}
            Some((false, said)) => {
                let failed =
                    said.lines().find_map(|line| Some(line.strip_prefix("---- ")?.split_once(' ')?.0));
                return Ok(Some(format!("test {}", failed.unwrap_or("that did not come to its end"))));
            }
        }
        self.simulated(self.seeds, patience)
    }

    /// What the simulator has to say after so many seeds.
    fn simulated(&self, seeds: u64, patience: Duration) -> Result<Option<String>, Failure> {
        let mut simulator = Command::new(self.scratch.join("target/release/kbnt-simulate"));
        let jobs = self.jobs.to_string();
        simulator.args(["--jobs", &jobs, "--seeds", &seeds.to_string()]).stderr(Stdio::null());
        Ok(match patiently(&mut simulator, patience)? {
            None => Some("simulator: it never ends".into()),
            Some((true, _)) => None,
            Some((false, said)) => {
                let first = said.lines().find(|line| line.starts_with("seed ")).unwrap_or("it crashed");
                Some(format!("simulator, {}", shortened(first)))
            }
        })
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .current_dir(self.scratch)
            .env("CARGO_TARGET_DIR", self.scratch.join("target"))
            .env("CARGO_BUILD_JOBS", self.jobs.to_string());
        cargo
    }
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(110).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
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
