//! A broker with an open listener for a client with all rights, and an authenticated one where clients have
//! only granted rights.

use std::path::PathBuf;
use std::process::Command;

/// Everybody's password at the authenticated listener.
const PASSWORD: &str = "open-sesame";

/// A broker in its own directory, which is deleted with it.
pub struct Broker(tempfile::TempDir);

impl Broker {
    pub fn start() -> Self {
        let broker = Self(tempfile::tempdir().unwrap());
        std::fs::write(broker.file("password"), PASSWORD).unwrap();
        broker.script("start", &[]);
        broker
    }

    fn script(&self, command: &str, more: &[&str]) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../e2e/kafka/broker.sh");
        let mut script = Command::new(script);
        let guarded = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                       super.users=User:ANONYMOUS";
        script.env("KBNT_BROKER_SECURE", "yes").env("KBNT_BROKER_PROPERTIES", guarded);
        let output = script.arg(command).arg(self.0.path()).args(more).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A file of its directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The address of the listener with all rights.
    pub fn open_door(&self) -> String {
        std::fs::read_to_string(self.file("address")).unwrap().trim().to_owned()
    }

    /// The address of the listener that asks for user name and password.
    pub fn locked_door(&self) -> String {
        std::fs::read_to_string(self.file("scram")).unwrap().trim().to_owned()
    }

    /// Creates the user `name`.
    pub fn let_in(&self, name: &str) {
        self.script("scram", &[name, PASSWORD]);
    }

    /// Grants `name` this operation on these resources.
    pub fn allow(&self, name: &str, operation: &str, with: impl Iterator<Item = (&'static str, String)>) {
        let user = format!("User:{name}");
        let with: Vec<_> = with.collect();
        let mut arguments = vec!["--add", "--allow-principal", &user, "--operation", operation];
        arguments.extend(with.iter().flat_map(|(kind, name)| [*kind, name.as_str()]));
        self.script("acl", &arguments);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.script("kill", &[]);
    }
}
