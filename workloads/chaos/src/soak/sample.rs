//! What processes and directories take, as the system tells it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Clock ticks in a second, as `/proc` counts processor time on every machine that Linux runs on today.
const TICKS: f64 = 100.0;

/// Bytes of a block, as the system counts what a file takes.
const BLOCK: u64 = 512;

/// The topics of events that can be cut, by the beginning of the names of their directories.
const STORES: [&str; 4] = ["user-events-", "order-events-", "payment-events-", "inventory-events-"];

/// The topics whose records expire.
const TRAIL: [&str; 3] = ["audit-logs-", "notification-events-", "application-logs-"];

/// Names of measured directories.
pub(super) const DISKS: [&str; 7] =
    ["log_stores", "log_trail", "log_rest", "snapshots", "archive", "history", "checkpoints"];

/// Where all of a run lies.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) broker: PathBuf,
    /// The broker's log, in its directory.
    pub(super) log: PathBuf,
    pub(super) logs: PathBuf,
    pub(super) snapshots: PathBuf,
    pub(super) archive: PathBuf,
    pub(super) history: PathBuf,
    pub(super) checkpoints: PathBuf,
    pub(super) users: PathBuf,
    pub(super) measured: PathBuf,
}

impl Layout {
    /// In a directory in which there is nothing.
    pub(super) fn new(directory: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(directory)?;
        let directory = directory.canonicalize()?;
        if fs::read_dir(&directory)?.next().is_some() {
            return Err(Failure::Script(format!("{} is not empty", directory.display())));
        }
        let within = |name: &str| directory.join(name);
        let layout = Self {
            broker: within("broker"),
            log: within("broker").join("data"),
            logs: within("logs"),
            snapshots: within("snapshots"),
            archive: within("archive"),
            history: within("history"),
            checkpoints: within("checkpoints"),
            users: within("users.json"),
            measured: within("soak.csv"),
        };
        for folder in [&layout.logs, &layout.snapshots, &layout.archive, &layout.history, &layout.checkpoints]
        {
            fs::create_dir(folder)?;
        }
        Ok(layout)
    }

    /// Bytes on disk, in the order of `DISKS`.
    pub(super) fn disks(&self) -> io::Result<[u64; 7]> {
        let (mut stores, mut trail, mut rest) = (0, 0, 0);
        for entry in fs::read_dir(&self.log)?.flatten() {
            let (name, bytes) = (entry.file_name(), taken(&entry.path())?);
            let is_one = |of: &[&str]| of.iter().any(|topic| name.to_string_lossy().starts_with(topic));
            if is_one(&STORES) {
                stores += bytes;
            } else if is_one(&TRAIL) {
                trail += bytes;
            } else {
                rest += bytes;
            }
        }
        let [snapshots, archive, history] =
            [&self.snapshots, &self.archive, &self.history].map(|path| taken(path));
        Ok([stores, trail, rest, snapshots?, archive?, history?, taken(&self.checkpoints)?])
    }
}

/// What a file, or a directory with all that is in it, takes on disk. What goes away meanwhile takes nothing.
fn taken(path: &Path) -> io::Result<u64> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    if !found.is_dir() {
        return Ok(found.blocks() * BLOCK);
    }
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| taken(&entry.path())).sum(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// A process as it is now: bytes in memory, and seconds of processor time since it was started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Process {
    pub(super) memory: f64,
    pub(super) processor: f64,
}

impl Process {
    /// The process of this number; nothing if it has ended.
    pub(super) fn of(id: u32) -> Self {
        let text = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        Self { memory: memory(&text("status")), processor: processor(&text("stat")) }
    }
}

fn memory(status: &str) -> f64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() * 1024.0
}

fn processor(stat: &str) -> f64 {
    // The name of a program, in brackets, may have blanks in it.
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS
}

/// The share of a core that processes take, in percent.
#[derive(Debug, Default)]
pub(super) struct Shares {
    before: BTreeMap<u32, f64>,
}

impl Shares {
    /// What a process has taken in the last so many seconds. One that nobody has asked for before was started since.
    pub(super) fn of(&mut self, id: u32, process: Process, seconds: f64) -> f64 {
        let before = self.before.insert(id, process.processor).unwrap_or_default();
        (process.processor - before).max(0.0) * 100.0 / seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        assert!((memory("Name:\tx\nVmHWM:\t  99 kB\nVmRSS:\t  2048 kB\n") - 2_097_152.0).abs() < 1.0);
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 9 0 100 0 0";
        assert!((processor(stat) - 4.0).abs() < 1e-9, "{}", processor(stat));
        let mut shares = Shares::default();
        let at = |processor| Process { memory: 0.0, processor };
        assert!((shares.of(7, at(1.0), 10.0) - 10.0).abs() < 1e-9);
        assert!((shares.of(7, at(6.0), 10.0) - 50.0).abs() < 1e-9);
        assert!((shares.of(8, at(1.0), 10.0) - 10.0).abs() < 1e-9, "another process of the same service");
    }

    #[test]
    fn a_directory_takes_what_its_files_take() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("a/b")).unwrap();
        fs::write(directory.path().join("a/b/c"), vec![7; 50_000]).unwrap();
        let sparse = fs::File::create(directory.path().join("sparse")).unwrap();
        sparse.set_len(10_000_000).unwrap();
        sparse.sync_all().unwrap();
        fs::File::open(directory.path().join("a/b/c")).unwrap().sync_all().unwrap();
        let bytes = taken(directory.path()).unwrap();
        assert!((50_000..100_000).contains(&bytes), "{bytes}");
        assert_eq!(taken(&directory.path().join("gone")).unwrap(), 0);
    }
}
