//! Services in their own processes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kbnt_application::Topic;
use serde_json::json;

use super::Failure;

/// How long any step may take.
const DEADLINE: Duration = Duration::from_mins(15);

/// Waits until `condition` holds.
pub(super) async fn until<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Result<(), Failure> {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        if Instant::now() > deadline {
            return Err(format!("never: {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The number of the newest snapshot.
pub(super) fn newest_snapshot(directory: &Path) -> Option<u64> {
    let files = std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let kept = files.filter(|file| file.extension().is_some_and(|extension| extension == "snapshot"));
    kept.filter_map(|file| file.file_stem()?.to_str()?.parse().ok()).max()
}

/// Makes the seven topics.
pub(super) fn make_topics(kbnt: &Path, bootstrap: &str) -> Result<(), Failure> {
    let wanted = Topic::ALL.map(|topic| {
        // With the operator's setting.
        let configs =
            if topic == Topic::AuditLogs { json!({"max.message.bytes": "4194304"}) } else { json!({}) };
        json!({"name": topic.name(), "partitions": topic.partitions(), "replicas": 1, "configs": configs})
    });
    let mut ensure = Command::new(kbnt);
    ensure.args(["topics", "ensure"]).env("KBNT_BOOTSTRAP_SERVERS", bootstrap);
    let made = ensure.env("KBNT_WANTED_TOPICS", serde_json::to_string(&wanted)?).output()?;
    if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stdout).into()) }
}

/// A running service, which is killed on drop.
pub(super) struct Running {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Running {
    /// Starts a service, with snapshots if there is a directory for them.
    pub(super) fn start(
        kbnt: &Path,
        bootstrap: &str,
        role: &str,
        snapshots: Option<&Path>,
    ) -> Result<Self, Failure> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(kbnt);
        command
            .args(["service", role, "--address", "127.0.0.1", "--port", &port.to_string()])
            .args(["--log-format", "json", "--log", "warn", "--allow-unknown-users", "--payment-simulated"])
            .env("KBNT_BOOTSTRAP_SERVERS", bootstrap)
            .env("KBNT_INSTANCE", format!("bench-{role}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(directory) = snapshots {
            command.arg("--snapshot-dir").arg(directory).args(["--snapshot-interval", "5s"]);
        }
        let client = kbnt_adapters::outbound::streaming_client()?;
        Ok(Self { child: command.spawn()?, url: format!("http://127.0.0.1:{port}"), client })
    }

    async fn get(&self, path: &str) -> Option<String> {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    /// Waits until it is ready. Returns the time.
    pub(super) async fn until_ready(&self) -> Result<Instant, Failure> {
        until("it is ready", || async { self.get("/readyz").await.is_some() }).await?;
        Ok(Instant::now())
    }

    /// Waits until all inputs are handled.
    pub(super) async fn until_caught_up(&self) -> Result<(), Failure> {
        let caught_up = || async {
            let Some(metrics) = self.get("/metrics").await else { return false };
            let mut lags = metrics.lines().filter(|line| line.starts_with("kbnt_consumer_lag{")).peekable();
            lags.peek().is_some() && lags.all(|lag| lag.ends_with(" 0"))
        };
        until("it has caught up", caught_up).await
    }

    /// Its peak memory, in bytes.
    pub(super) fn peak(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes: u64 = peak.ok_or("no peak")?.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes << 10)
    }

    /// kill -9.
    pub(super) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
