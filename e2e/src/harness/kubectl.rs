//! The cluster through `kubectl`, as a person uses it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Failure;

/// The output and the result of a command.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// `kubectl` with the kubeconfig of the environment, in one namespace.
#[derive(Clone, Debug)]
pub struct Kubectl {
    namespace: String,
}

impl Kubectl {
    /// Commands in `namespace`.
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Runs `kubectl` with `input` on standard input. A failed command is an ordinary outcome.
    pub fn try_run(&self, args: &[&str], input: &str) -> Result<Outcome, Failure> {
        let failed = |error: std::io::Error| Failure(format!("kubectl {}: {error}", args.join(" ")));
        let mut child = Command::new("kubectl")
            .args(["--namespace", &self.namespace])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read its input closes it early, which is not a failure.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        Ok(Outcome {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs `kubectl`. Returns its output.
    pub fn run(&self, args: &[&str]) -> Result<String, Failure> {
        self.run_with(args, "")
    }

    /// Runs `kubectl` with `input` on standard input. Returns its output.
    pub fn run_with(&self, args: &[&str], input: &str) -> Result<String, Failure> {
        let outcome = self.try_run(args, input)?;
        if outcome.success {
            Ok(outcome.stdout)
        } else {
            Err(Failure(format!("kubectl {}: {}", args.join(" "), outcome.stderr)))
        }
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> Result<String, Failure> {
        self.run_with(&["apply", "-f", "-"], manifest)
    }

    /// An object or a list, parsed.
    pub fn get(&self, args: &[&str]) -> Result<Value, Failure> {
        let text = self.run(&[&["get", "-o", "json"], args].concat())?;
        serde_json::from_str(&text)
            .map_err(|error| Failure(format!("kubectl get {}: {error}", args.join(" "))))
    }

    /// The `status` of a condition of an object, such as `True`, with its reason and message for a failure.
    pub fn condition(&self, object: &str, type_: &str) -> Result<(String, String), Failure> {
        let value = self.get(&[object])?;
        let conditions = value["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == type_);
        let Some(found) = found else {
            return Err(Failure(format!("{object} has no condition {type_} yet: {}", value["status"])));
        };
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Ok((text("status"), format!("{}: {}", text("reason"), text("message"))))
    }

    /// Fails unless the condition is `wanted`.
    pub fn expect_condition(&self, object: &str, type_: &str, wanted: &str) -> Result<(), Failure> {
        let (status, why) = self.condition(object, type_)?;
        if status == wanted { Ok(()) } else { Err(Failure(format!("{object} {type_}={status} ({why})"))) }
    }
}
