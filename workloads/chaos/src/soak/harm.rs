//! What is done during a soak: services are killed, and the log is cut.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use super::sample::Layout;
use crate::failure::Failure;
use crate::options::SoakOptions;
use crate::services::{Fleet, ROLES};
use crate::system::show;

/// The longest pause between a kill and the next start, in milliseconds.
const PAUSE: u64 = 1_000;

/// Partitions of the event stores.
pub(super) const PARTITIONS: usize = 12;

/// The exit code of a cut without checkpoints.
const NO_CHECKPOINT: i32 = 3;

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) kills: AtomicU64,
    pub(super) cuts: AtomicU64,
    pub(super) records: AtomicU64,
    /// Whether no more is done, and no more orders come.
    pub(super) over: AtomicBool,
    /// Partitions of which something was cut.
    cut: Mutex<BTreeSet<(String, u32)>>,
    /// What must not be.
    wrong: Mutex<Vec<String>>,
}

impl Done {
    /// How many partitions of the event stores were never cut.
    pub(super) fn uncut(&self) -> usize {
        let cut = self.cut.lock().map_or(0, |cut| cut.len());
        PARTITIONS.saturating_sub(cut)
    }

    /// What must not be.
    pub(super) fn wrong(&self) -> Vec<String> {
        self.wrong.lock().map(|wrong| wrong.clone()).unwrap_or_default()
    }

    /// Notes what must not be.
    pub(super) fn complain(&self, what: String) {
        if let Ok(mut wrong) = self.wrong.lock() {
            wrong.push(what);
        }
    }
}

/// Who is killed, and for how long it stays away: the same for the same seed.
pub(super) fn victims(seed: u64) -> impl Iterator<Item = (&'static str, Duration)> {
    let mut chance = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(move || {
        (ROLES[chance.usize(..ROLES.len())], Duration::from_millis(chance.u64(..PAUSE)))
    })
}

/// Kills a service at each interval, as long as orders come.
pub(super) async fn kill(
    options: &SoakOptions,
    seed: u64,
    fleet: &tokio::sync::Mutex<Fleet>,
    done: &Done,
) -> Result<(), Failure> {
    let started = Instant::now();
    for (number, (role, pause)) in (1..).zip(victims(seed)) {
        let due = options.kill_every * number;
        if due >= options.duration {
            return Ok(());
        }
        sleep_until(started + due).await;
        show(format_args!("{:>5} s: kill -9 of {role}", due.as_secs()))?;
        fleet.lock().await.kill(role, pause).await?;
        done.kills.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Cuts the log at each interval, as long as orders come.
pub(super) async fn cut(
    options: &SoakOptions,
    layout: &Layout,
    bootstrap: &str,
    done: &Done,
) -> Result<(), Failure> {
    let started = Instant::now();
    for number in 1.. {
        let due = options.cut_every * number;
        if due > options.duration {
            return Ok(());
        }
        sleep_until(started + due).await;
        let began = Instant::now();
        let said = match cut_once(options, layout, bootstrap).await? {
            Cut::Made(cut) => {
                let said = format!("{} records are cut", cut.records);
                done.note(cut);
                said
            }
            Cut::NoCheckpoint(why) if done.cuts.load(Ordering::Relaxed) == 0 => format!("no cut: {why}"),
            Cut::NoCheckpoint(why) | Cut::Failed(why) => {
                done.complain(format!("a cut after {} s: {why}", due.as_secs()));
                format!("VIOLATION the cut fails: {why}")
            }
        };
        show(format_args!("{:>5} s: {said}, in {:.1} s", due.as_secs(), began.elapsed().as_secs_f64()))?;
    }
    Ok(())
}

impl Done {
    fn note(&self, cut: Report) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(cut.records, Ordering::Relaxed);
        let places = cut.partitions.into_iter().filter(|of| of.to > 0).map(|of| (of.topic, of.partition));
        if let Ok(mut all) = self.cut.lock() {
            all.extend(places);
        }
    }
}

/// What `kbnt log cut --json` prints.
#[derive(Debug, Deserialize)]
struct Report {
    records: u64,
    partitions: Vec<CutPartition>,
}

#[derive(Debug, Deserialize)]
struct CutPartition {
    topic: String,
    partition: u32,
    to: u64,
}

/// What became of a cut.
enum Cut {
    Made(Report),
    NoCheckpoint(String),
    Failed(String),
}

async fn cut_once(options: &SoakOptions, layout: &Layout, bootstrap: &str) -> Result<Cut, Failure> {
    let mut command = Command::new(&options.kbnt);
    command.args(["log", "cut", "--json", "--bootstrap-servers", bootstrap]).env_clear();
    command.arg("--checkpoints").arg(&layout.checkpoints);
    command.args(["--keep", &format!("{}ms", options.keep.as_millis())]);
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    let output = ended.map_err(|error| Failure::Script(error.to_string()))??;
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.code() == Some(NO_CHECKPOINT) {
        return Ok(Cut::NoCheckpoint(complaint));
    }
    if !complaint.is_empty() {
        show(format_args!("kbnt log cut says: {complaint}"))?;
    }
    Ok(match serde_json::from_slice(&output.stdout) {
        Ok(report) if output.status.success() => Cut::Made(report),
        _ => Cut::Failed(format!("{}: {complaint}", output.status)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_who_is_killed_and_everybody_is_at_some_time() {
        let drawn = |seed| victims(seed).take(100).collect::<Vec<_>>();
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        let killed: BTreeSet<&str> = drawn(7).into_iter().map(|(role, _)| role).collect();
        assert_eq!(killed.len(), ROLES.len());
    }

    #[test]
    fn partitions_that_were_never_cut_are_counted() {
        let done = Done::default();
        let report = r#"{"dryRun": false, "records": 5, "partitions": [
            {"topic": "order-events", "partition": 0, "first": 0, "to": 5, "records": 5, "keptFor": "x"},
            {"topic": "order-events", "partition": 1, "first": 0, "to": 0, "records": 0, "keptFor": null}]}"#;
        done.note(serde_json::from_str(report).unwrap());
        assert_eq!((done.uncut(), done.records.into_inner(), done.cuts.into_inner()), (11, 5, 1));
    }
}
