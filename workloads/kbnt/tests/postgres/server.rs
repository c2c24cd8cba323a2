//! A test's own database server, started by `e2e/postgres/server.sh`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What nobody may ever see.
pub const PASSWORD: &str = "the-password-of-the-tests";

/// A server in its own directory, which is deleted with it.
pub struct Server {
    directory: tempfile::TempDir,
    pub url: String,
}

impl Server {
    /// A server that has been started.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = script(directory.path(), "start");
        assert!(url.contains(PASSWORD));
        Self { directory, url }
    }

    /// Starts it again where it was.
    pub fn start_again(&self) {
        assert_eq!(script(self.directory.path(), "start"), self.url);
    }

    pub fn kill(&self) {
        script(self.directory.path(), "kill");
    }

    /// The certificate of the authority that vouches for it.
    pub fn authority(&self) -> String {
        self.directory.path().join("ca.crt").to_str().unwrap().to_owned()
    }

    /// What a statement of somebody who may do anything comes to.
    pub fn execute(&self, statement: &str) -> String {
        let output =
            Command::new("psql").args(["--no-psqlrc", "-tAqc", statement, &self.url]).output().unwrap();
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The schema of the only history.
    pub fn schema(&self) -> String {
        self.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'kbnt_history%'")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn script(directory: &Path, what: &str) -> String {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../e2e/postgres/server.sh");
    let output = Command::new(script).arg(what).arg(directory).output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
