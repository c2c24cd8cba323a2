//! A test's own broker, started by `e2e/kafka/broker.sh`.

use std::path::PathBuf;
use std::process::Command;

use crate::front::Front;

/// A broker in its own directory, which is deleted with it.
pub struct Broker(tempfile::TempDir);

impl Broker {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn script(&self, command: &str, more: &[&str], variables: &[(&str, &str)]) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../e2e/kafka/broker.sh");
        let mut script = Command::new(script);
        script.arg(command).arg(self.0.path()).args(more).envs(variables.iter().copied());
        let output = script.output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts it. Returns its address.
    pub fn start(&self) -> String {
        self.script("start", &[], &[])
    }

    /// Starts it behind a front that clients take for the broker.
    pub fn start_behind(&self, front: &Front) {
        let advertised = front.address.to_string();
        let address = self.script("start", &[], &[("KBNT_BROKER_ADVERTISED", &advertised)]);
        front.point_at(&address);
    }

    /// Starts it with authenticated listeners, too. Returns the address of the open one.
    pub fn start_secure(&self) -> String {
        self.script("start", &[], &[("KBNT_BROKER_SECURE", "yes")])
    }

    /// Starts it with authenticated listeners, too, where every client needs rights, except those of the open
    /// listener, and with these properties.
    pub fn start_guarded(&self, properties: &str) -> String {
        let guarded = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                       super.users=User:ANONYMOUS\n";
        let properties = format!("{guarded}{properties}");
        self.script("start", &[], &[("KBNT_BROKER_SECURE", "yes"), ("KBNT_BROKER_PROPERTIES", &properties)])
    }

    /// Grants `name` this operation on a topic.
    pub fn allow(&self, name: &str, operation: &str, topic: &str) {
        let user = format!("User:{name}");
        self.script(
            "acl",
            &["--add", "--allow-principal", &user, "--operation", operation, "--topic", topic],
            &[],
        );
    }

    /// Sets the password of `name`.
    pub fn scram(&self, name: &str, password: &str) {
        self.script("scram", &[name, password], &[]);
    }

    /// A file of its directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Stops it in order.
    pub fn stop(&self) {
        self.script("stop", &[], &[]);
    }

    pub fn kill(&self) {
        self.script("kill", &[], &[]);
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.script("pid", &[], &[]);
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}
