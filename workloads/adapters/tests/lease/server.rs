//! An API server in its own folder, both of which are removed on drop.

use std::path::Path;
use std::process::Command;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

pub struct Server {
    folder: tempfile::TempDir,
    kubeconfig: String,
}

impl Server {
    pub fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let output = script("start", folder.path());
        let kubeconfig = output.lines().last().expect("apiserver.sh prints a kubeconfig").to_owned();
        Self { folder, kubeconfig }
    }

    pub async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script("stop", self.folder.path());
    }
}

fn script(verb: &str, folder: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/cluster/apiserver.sh");
    let output = Command::new(script).arg(verb).arg(folder).output().unwrap();
    assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
