//! The operator's process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ApiServer, Failure, Ledgers, until};

/// The operator's process, with the rights of its ServiceAccount.
pub(crate) struct Operator {
    child: Mutex<Child>,
    address: String,
}

/// The operator's program.
pub(crate) const OPERATOR: &str = env!("CARGO_BIN_EXE_kbnt-operator");

/// How to start one.
pub(crate) struct Start<'a> {
    /// Its instance name.
    pub(crate) name: &'a str,
    /// Namespace and name of its ServiceAccount.
    pub(crate) account: (&'a str, &'a str),
    /// Further variables.
    pub(crate) env: &'a [(&'a str, &'a str)],
}

impl Operator {
    /// Starts it.
    pub(crate) async fn start(
        program: &Path,
        server: &ApiServer,
        client: &Client,
        ledgers: &Ledgers,
        how: &Start<'_>,
    ) -> Result<Self, Failure> {
        let kubeconfig = scratch()?.join(format!("{}.kubeconfig", how.name));
        std::fs::write(&kubeconfig, server.kubeconfig_of(&token(client, how.account).await?)?)?;
        let log = std::fs::File::create(scratch()?.join(format!("{}.log", how.name)))?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let child = Command::new(program)
            .env("KUBECONFIG", &kubeconfig)
            .env("KBNT_SERVICES_IMAGE", "kbnt/services:test")
            .env("KBNT_NAMESPACE", how.account.0)
            .env("KBNT_INSTANCE", how.name)
            .env("KBNT_LISTEN", &address)
            .env("KBNT_LOG", "info,kbnt_operator=debug")
            .env("KBNT_SERVICE_URL", ledgers.template())
            .env("KBNT_POD_URL", ledgers.pod_template())
            .envs(how.env.iter().copied())
            .stdout(Stdio::from(log))
            .stderr(Stdio::inherit())
            .spawn()?;
        Ok(Self { child: Mutex::new(child), address })
    }

    /// Status code and body of a path.
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), Failure> {
        http_get(&self.address, path).await
    }

    /// The sum of a metric over the series whose labels contain all of `with` and none of `without`.
    pub(crate) async fn metric(&self, name: &str, with: &[&str], without: &[&str]) -> Result<f64, Failure> {
        let (_, text) = self.get("/metrics").await?;
        let lines = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        let fitting = lines.filter(|line| {
            with.iter().all(|part| line.contains(part)) && !without.iter().any(|part| line.contains(part))
        });
        Ok(fitting
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .fold(0.0, |sum, value| sum + value))
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        self.status("VmRSS:")
    }

    /// The most memory that was ever resident, in bytes.
    pub(crate) fn peak(&self) -> Result<u64, Failure> {
        self.status("VmHWM:")
    }

    /// Processor time spent so far, in seconds.
    pub(crate) fn processor(&self) -> Result<f64, Failure> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<_> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // utime and stime, in hundredths of a second on every Linux.
        let ticks = fields.iter().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok());
        Ok(f64::from(ticks.sum::<u32>()) / 100.0)
    }

    fn pid(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    fn status(&self, field: &str) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find(|line| line.starts_with(field));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kibibytes.map(|amount| amount * 1024).ok_or_else(|| Failure::new(format!("no {field}")))
    }

    /// Asks it to stop, as Kubernetes does, and waits for its end.
    pub(crate) async fn stop(&self) -> Result<ExitStatus, Failure> {
        self.signal("TERM")?;
        self.ended().await
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Failure> {
        Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status()?;
        Ok(())
    }

    /// Fails if it has ended.
    pub(crate) fn runs(&self) -> Result<(), Failure> {
        let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?;
        ended.map_or(Ok(()), |status| Err(Failure::new(format!("it ended by itself: {status}"))))
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> Result<ExitStatus, Failure> {
        until("the operator's end", || async {
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?;
            ended.ok_or_else(|| Failure::new("it still runs"))
        })
        .await
    }

    /// Ends it at once.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Folder of the kubeconfigs and logs of this run.
pub(crate) fn scratch() -> Result<PathBuf, Failure> {
    let folder = std::env::temp_dir().join(format!("kbnt-operator-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A token of a ServiceAccount, as its pod would get it.
async fn token(client: &Client, (namespace, name): (&str, &str)) -> Result<String, Failure> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: Some(TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() }),
        ..TokenRequest::default()
    };
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    Ok(answer.status.and_then(|status| status.token).unwrap_or_default())
}

/// Status code and body.
async fn http_get(address: &str, path: &str) -> Result<(u16, String), Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let malformed = || Failure::new(format!("no HTTP answer: {text}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let code = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    Ok((code, body.to_owned()))
}
