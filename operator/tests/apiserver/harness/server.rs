//! The API server.

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Failure;

/// A kubeconfig of an API server, with all rights.
pub(crate) struct ApiServer {
    kubeconfig: PathBuf,
    /// Where it lies if this suite started it.
    ours: Option<PathBuf>,
}

/// Variable that names the audit policy to `apiserver.sh`.
const POLICY: &str = "KBNT_AUDIT_POLICY";

impl ApiServer {
    /// Uses the given API server, or starts a new one.
    pub(crate) fn start() -> Result<Self, Failure> {
        if let Some(given) = std::env::var_os("KBNT_APISERVER_KUBECONFIG") {
            return Ok(Self { kubeconfig: given.into(), ours: None });
        }
        Self::make("tests", &[])
    }

    /// Starts a new one of this name, which keeps an audit log according to this policy.
    pub(crate) fn start_audited(name: &str, policy: &Path) -> Result<Self, Failure> {
        Self::make(name, &[(POLICY, policy)])
    }

    fn make(name: &str, env: &[(&str, &Path)]) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("kbnt-apiserver-{}-{name}", std::process::id()));
        let output = script("start", &folder, env)?;
        let path = output.lines().last().ok_or_else(|| Failure::new("apiserver.sh prints no kubeconfig"))?;
        Ok(Self { kubeconfig: path.into(), ours: Some(folder) })
    }

    /// Its audit log.
    pub(crate) fn audit_log(&self) -> Result<PathBuf, Failure> {
        let folder = self.ours.as_ref().ok_or_else(|| Failure::new("the API server is somebody else's"))?;
        Ok(folder.join("audit.log"))
    }

    /// A client with all rights.
    pub(crate) async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::try_from(self.config().await?)?)
    }

    /// The kubeconfig of the account with this token.
    pub(crate) fn kubeconfig_of(&self, token: &str) -> Result<String, Failure> {
        let mut kubeconfig: serde_yaml::Value =
            serde_yaml::from_str(&std::fs::read_to_string(&self.kubeconfig)?)?;
        for user in kubeconfig["users"].as_sequence_mut().into_iter().flatten() {
            user["user"] = serde_yaml::from_str(&format!("token: {token}"))?;
        }
        Ok(serde_yaml::to_string(&kubeconfig)?)
    }

    /// Ends it, if this suite started it.
    pub(crate) fn stop(&self) {
        if let Some(folder) = &self.ours
            && let Err(failure) = script("stop", folder, &[])
        {
            eprintln!("{failure}");
        }
    }

    /// How to reach it, with all rights.
    pub(crate) async fn config(&self) -> Result<Config, Failure> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig)?;
        Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
    }
}

fn script(verb: &str, folder: &Path, env: &[(&str, &Path)]) -> Result<String, Failure> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/cluster/apiserver.sh");
    let output = Command::new(&script).arg(verb).arg(folder).envs(env.iter().copied()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Failure::new(format!("{} {verb} failed: {said}", script.display())))
}
