//! The broker, by `e2e/kafka/broker.sh`; on a disk of its own in memory, where that disk is to become full.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::network::HUB;
use crate::system::{run, run_aside};

/// The size of the disk; only what is used of it takes memory.
const DISK: &str = "size=16g";

/// The room on it that is left when it is to become full, in KiB: a second's worth.
const ROOM: u64 = 1024;

/// A broker in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    script: PathBuf,
    directory: PathBuf,
    /// Further lines of its configuration.
    properties: &'static str,
}

impl Broker {
    /// The broker in `directory`, which `script` can start; it gets a disk there.
    pub(crate) async fn new(script: &Path, directory: &Path) -> Result<Self, Failure> {
        let broker = Self::on_disk(script, directory, "")?;
        broker.system("mount", &["-t", "tmpfs", "-o", DISK, "kbnt-chaos"]).await?;
        Ok(broker)
    }

    /// The same without a disk of its own, and with further lines of configuration.
    pub(crate) fn on_disk(
        script: &Path,
        directory: &Path,
        properties: &'static str,
    ) -> Result<Self, Failure> {
        std::fs::create_dir_all(directory)?;
        Ok(Self { script: script.to_owned(), directory: directory.to_owned(), properties })
    }

    async fn script(&self, command: &str, more: &[&str]) -> Result<String, Failure> {
        let mut script = Command::new(&self.script);
        script.arg(command).arg(&self.directory).args(more).env("KBNT_BROKER_HOST", HUB.to_string());
        script.env("KBNT_BROKER_PROPERTIES", self.properties);
        run_aside(script).await
    }

    /// Starts it; its address.
    pub(crate) async fn start(&self) -> Result<String, Failure> {
        self.script("start", &[]).await
    }

    /// Stops it in order.
    pub(crate) async fn stop(&self) -> Result<(), Failure> {
        self.script("stop", &[]).await.map(drop)
    }

    /// Kills it.
    pub(crate) async fn kill(&self) -> Result<(), Failure> {
        self.script("kill", &[]).await.map(drop)
    }

    /// Makes its disk about as small as what is on it.
    pub(crate) async fn fill_disk(&self) -> Result<(), Failure> {
        let said = self.system("df", &["--output=used", "--block-size=1K"]).await?;
        let used: u64 = said.lines().last().unwrap_or_default().trim().parse().unwrap_or(0);
        // It may not be smaller, and the broker has not stopped writing.
        self.system("mount", &["-o", &format!("remount,size={}k", used + ROOM)]).await.map(drop)
    }

    /// Gives it room again.
    pub(crate) async fn free_disk(&self) -> Result<(), Failure> {
        self.system("mount", &["-o", &format!("remount,{DISK}")]).await.map(drop)
    }

    /// A program of the system, on the directory.
    async fn system(&self, program: &str, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.directory);
        run_aside(command).await
    }

    /// Its process.
    pub(crate) async fn pid(&self) -> Result<String, Failure> {
        self.script("pid", &[]).await
    }

    /// Sets the offsets of a group that has no member back to the beginning.
    pub(crate) async fn rewind(&self, group: &str) -> Result<(), Failure> {
        self.script("rewind", &[group]).await.map(drop)
    }
}

/// Sends a signal by its name, such as `STOP`.
pub(crate) fn signal(pid: &str, name: &str) -> Result<(), Failure> {
    run(Command::new("kill").args([&format!("-{name}"), pid])).map(drop)
}
