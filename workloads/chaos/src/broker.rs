//! The broker, by `e2e/kafka/broker.sh`, on a disk of its own in memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::failure::Failure;
use crate::network::HUB;

/// The size of the disk; only what is used of it takes memory.
const DISK: &str = "size=16g";

/// The room on it that is left when it is to become full, in KiB: a second's worth.
const ROOM: u64 = 1024;

/// A broker in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    script: PathBuf,
    directory: PathBuf,
}

impl Broker {
    /// The broker in `directory`, which `script` can start; it gets a disk there.
    pub(crate) async fn new(script: &Path, directory: &Path) -> Result<Self, Failure> {
        std::fs::create_dir_all(directory)?;
        let broker = Self { script: script.to_owned(), directory: directory.to_owned() };
        broker.system("mount", &["-t", "tmpfs", "-o", DISK, "kbnt-chaos"]).await?;
        Ok(broker)
    }

    async fn script(&self, command: &str, more: &[&str]) -> Result<String, Failure> {
        let mut script = Command::new(&self.script);
        script.arg(command).arg(&self.directory).args(more).env("KBNT_BROKER_HOST", HUB.to_string());
        script.stdin(Stdio::null()).stderr(Stdio::piped());
        let output = output(script).await?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::Script(format!("broker.sh {command}: {said}")));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
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
        command.args(arguments).arg(&self.directory).stdin(Stdio::null());
        let output = output(command).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::Script(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
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

/// What a program says, once it has ended.
pub(crate) async fn output(mut command: Command) -> Result<Output, Failure> {
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    Ok(ended.map_err(|error| Failure::Script(error.to_string()))??)
}

/// Sends a signal by its name, such as `STOP`.
pub(crate) fn signal(pid: &str, name: &str) -> Result<(), Failure> {
    let sent = Command::new("kill").args([&format!("-{name}"), pid]).status()?;
    if sent.success() { Ok(()) } else { Err(Failure::Script(format!("kill -{name} {pid}"))) }
}
