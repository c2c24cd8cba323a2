//! The six services as processes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::broker::signal;
use crate::failure::Failure;
use crate::network::{Host, Network};

/// The services by the names of their roles.
pub(crate) const ROLES: [&str; 6] = ["user", "inventory", "payment", "order", "notification", "audit"];

/// How long a service may take to become ready, with a busy machine and a long log to fold.
const READY: Duration = Duration::from_mins(3);

/// The port of each of them; every process has an address of its own.
const PORT: u16 = 8080;

/// How long a service may take to end once it was told to.
const END: Duration = Duration::from_secs(40);

/// How often services that keep checkpoints take a snapshot.
const SNAPSHOT_INTERVAL: &str = "5s";

/// What every process is started with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The program.
    pub(crate) kbnt: PathBuf,
    /// Where its log lines go.
    pub(crate) logs: PathBuf,
    /// The broker.
    pub(crate) bootstrap: String,
    /// The payment gateway.
    pub(crate) gateway: String,
    /// How long a reservation holds.
    pub(crate) ttl: String,
    /// The library that gives a process another time than the machine has.
    pub(crate) clock: PathBuf,
    /// What they keep so that the log may be cut; without that only snapshots, and users are whoever says so.
    pub(crate) kept: Option<Kept>,
}

/// What services keep on disk, and beyond it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// Has a folder for each role with snapshots.
    pub(crate) snapshots: PathBuf,
    /// The archive of closed orders.
    pub(crate) archive: PathBuf,
    /// The history of orders.
    pub(crate) history: PathBuf,
    /// The place of checkpoints.
    pub(crate) checkpoints: PathBuf,
    /// How often there is one.
    pub(crate) checkpoint_interval: String,
    /// A file with all users.
    pub(crate) users: PathBuf,
}

/// A service at work.
#[derive(Debug)]
pub(crate) struct Service {
    role: &'static str,
    child: Child,
    /// Where it answers.
    pub(crate) url: String,
}

/// All services: one process of each role, or two for a while.
#[derive(Debug)]
pub(crate) struct Fleet {
    settings: Settings,
    client: reqwest::Client,
    /// Each role keeps its host over a restart.
    hosts: BTreeMap<&'static str, Host>,
    /// Where a second process of a role is.
    spare: Host,
    /// Seconds by which a role's clock is off.
    skews: BTreeMap<&'static str, i64>,
    at_work: BTreeMap<&'static str, Service>,
    started: u32,
}

impl Fleet {
    /// Starts one of each.
    pub(crate) fn start(
        settings: Settings,
        network: &mut Network,
        client: reqwest::Client,
    ) -> Result<Self, Failure> {
        let (hosts, skews, at_work) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let spare = network.host("spare")?;
        let mut fleet = Self { settings, client, hosts, spare, skews, at_work, started: 0 };
        for role in ROLES {
            fleet.hosts.insert(role, network.host(role)?);
            fleet.restart(role)?;
        }
        Ok(fleet)
    }

    /// Where a role is.
    pub(crate) fn host(&self, role: &str) -> Result<&Host, Failure> {
        self.hosts.get(role).ok_or_else(|| Failure::Script(format!("{role} is no role")))
    }

    /// Where a role answers.
    pub(crate) fn url(&self, role: &str) -> Result<String, Failure> {
        Ok(url(self.host(role)?))
    }

    fn spawn(&mut self, role: &'static str, host: &Host) -> Result<Service, Failure> {
        self.started += 1;
        let instance = format!("{role}-{}", self.started);
        let file = |kind: &str| File::create(self.settings.logs.join(format!("{instance}.{kind}")));
        let mut command = host.command(&self.settings.kbnt);
        command
            .args(["service", role, "--port", &PORT.to_string()])
            .args(["--log-format", "json"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("KBNT_BOOTSTRAP_SERVERS", &self.settings.bootstrap)
            .env("KBNT_INSTANCE", &instance)
            .env("KBNT_PAYMENT_URL", &self.settings.gateway)
            .env("KBNT_RESERVATION_TTL", &self.settings.ttl)
            .env("KBNT_KAFKA_RENEW_AFTER", "10s")
            .env("KBNT_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(file("out")?)
            .stderr(file("err")?);
        if let Some(kept) = &self.settings.kept {
            kept.configure(role, &mut command);
        } else {
            // Each host has a disk of its own.
            let snapshots = self.settings.logs.join(format!("snapshots-{}", host.address));
            command.arg("--allow-unknown-users").env("KBNT_SNAPSHOT_DIR", snapshots);
            command.env("KBNT_SNAPSHOT_INTERVAL", "2s");
        }
        if let Some(skew) = self.skews.get(role) {
            command.env("LD_PRELOAD", &self.settings.clock).env("KBNT_CLOCK_OFF", skew.to_string());
        }
        Ok(Service { role, child: command.spawn()?, url: url(host) })
    }

    /// Starts a role anew at its own host.
    pub(crate) fn restart(&mut self, role: &'static str) -> Result<(), Failure> {
        let host = self.host(role)?.clone();
        let service = self.spawn(role, &host)?;
        self.at_work.insert(role, service);
        Ok(())
    }

    /// A second process of a role, at a host of its own.
    pub(crate) fn second(&mut self, role: &'static str) -> Result<Service, Failure> {
        let host = self.spare.clone();
        self.spawn(role, &host)
    }

    /// Puts a role's clock off by some seconds, or right again: both need a new process.
    pub(crate) async fn set_clock(&mut self, role: &'static str, skew: Option<i64>) -> Result<(), Failure> {
        match skew {
            Some(skew) => self.skews.insert(role, skew),
            None => self.skews.remove(role),
        };
        self.replace(role, async { Ok(()) }).await
    }

    /// Kills a role, and starts it again after a pause.
    pub(crate) async fn kill(&mut self, role: &'static str, pause: Duration) -> Result<(), Failure> {
        drop(self.at_work.remove(role));
        tokio::time::sleep(pause).await;
        self.restart(role)
    }

    /// Stops a role in order, does `meanwhile`, and starts it again.
    pub(crate) async fn replace(
        &mut self,
        role: &'static str,
        meanwhile: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        if let Some(service) = self.at_work.remove(role) {
            service.stop().await?;
        }
        meanwhile.await?;
        self.restart(role)
    }

    /// Suspends a role.
    pub(crate) fn suspend(&self, role: &str) -> Result<(), Failure> {
        self.signal(role, "STOP")
    }

    /// Lets it go on.
    pub(crate) fn resume(&self, role: &str) -> Result<(), Failure> {
        self.signal(role, "CONT")
    }

    fn signal(&self, role: &str, name: &str) -> Result<(), Failure> {
        match self.at_work.get(role) {
            Some(service) => signal(&service.child.id().to_string(), name),
            None => Err(Failure::Script(format!("{role} has ended"))),
        }
    }

    /// Waits until the process of a role has ended by itself, and starts it again. One that does not end is killed.
    pub(crate) async fn until_ended(&mut self, role: &'static str) -> Result<(), Failure> {
        let ended = match self.at_work.remove(role) {
            Some(mut service) => service.until_ended().await,
            None => Ok(()),
        };
        self.restart(role)?;
        ended
    }

    /// Waits until all are ready, and starts those again that have ended, as Kubernetes would; how many had.
    pub(crate) async fn until_ready(&mut self) -> Result<u32, Failure> {
        let mut ended = 0;
        for role in ROLES {
            ended += self.until_one_ready(role).await?;
        }
        Ok(ended)
    }

    /// Waits until this one is ready, and starts it again if it has ended; how often it had.
    pub(crate) async fn until_one_ready(&mut self, role: &'static str) -> Result<u32, Failure> {
        let give_up = Instant::now() + READY;
        let mut ended = 0;
        loop {
            let gone = match self.at_work.get_mut(role) {
                Some(service) => service.child.try_wait()?.is_some(),
                None => true,
            };
            if gone {
                ended += 1;
                self.restart(role)?;
            }
            if is_ready(&self.client, &self.url(role)?).await {
                return Ok(ended);
            }
            if Instant::now() > give_up {
                return Err(Failure::Late(format!("readiness of {role}")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The process of each role.
    pub(crate) fn processes(&self) -> BTreeMap<&'static str, u32> {
        self.at_work.iter().map(|(role, service)| (*role, service.child.id())).collect()
    }

    /// Starts those again that have ended by themselves; which.
    pub(crate) fn revive(&mut self) -> Result<Vec<&'static str>, Failure> {
        let mut ended = Vec::new();
        for (role, service) in &mut self.at_work {
            if service.child.try_wait()?.is_some() {
                ended.push(*role);
            }
        }
        ended.iter().try_for_each(|role| self.restart(role))?;
        Ok(ended)
    }

    /// Stops all in order.
    pub(crate) async fn stop(&mut self) -> Result<(), Failure> {
        for (_, service) in std::mem::take(&mut self.at_work) {
            service.stop().await?;
        }
        Ok(())
    }
}

impl Kept {
    fn configure(&self, role: &str, command: &mut Command) {
        if ["user", "inventory", "audit"].contains(&role) {
            command.env("KBNT_SNAPSHOT_DIR", self.snapshots.join(role));
        }
        if ["user", "inventory", "audit", "order"].contains(&role) {
            command.env("KBNT_CHECKPOINT_TO", &self.checkpoints);
            command.env("KBNT_CHECKPOINT_INTERVAL", &self.checkpoint_interval);
            command.env("KBNT_SNAPSHOT_INTERVAL", SNAPSHOT_INTERVAL);
        }
        match role {
            "user" => command.env("KBNT_USERS_FILE", &self.users),
            "inventory" => command.env("KBNT_STATE_DIR", &self.archive),
            "order" => command.env("KBNT_HISTORY_DIR", &self.history),
            _ => command,
        };
    }
}

fn url(host: &Host) -> String {
    format!("http://{}:{PORT}", host.address)
}

async fn is_ready(client: &reqwest::Client, url: &str) -> bool {
    let answer = client.get(format!("{url}/readyz")).timeout(Duration::from_secs(2)).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

impl Service {
    /// Waits until it is ready.
    pub(crate) async fn until_ready(&self, client: &reqwest::Client) -> Result<(), Failure> {
        let give_up = Instant::now() + READY;
        while !is_ready(client, &self.url).await {
            if Instant::now() > give_up {
                return Err(Failure::Late(format!("readiness of a second {}", self.role)));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        if self.child.try_wait()?.is_none() {
            signal(&self.child.id().to_string(), "TERM")?;
        }
        self.until_ended().await
    }

    async fn until_ended(&mut self) -> Result<(), Failure> {
        let give_up = Instant::now() + END;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > give_up {
                return Err(Failure::Late(format!("the end of {}", self.role)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Service {
    /// As kill -9 does.
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
