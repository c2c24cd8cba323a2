//! Starts the program, sends it requests, and stops it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

/// How long any step may take.
pub const DEADLINE: Duration = Duration::from_mins(1);

pub fn kbnt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbnt"));
    command.args(arguments).env_clear().env("NO_COLOR", "1");
    command
}

pub fn run(arguments: &[&str]) -> Output {
    kbnt(arguments).output().unwrap()
}

/// A port without a listener.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that serves HTTP.
pub struct Running {
    child: Child,
    pub url: String,
    pub client: Client,
}

impl Running {
    /// Starts it on a free port, and waits until it prints the port.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(0, arguments)
    }

    /// The same on this port.
    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        Self::of(kbnt(arguments), port)
    }

    /// The same with these variables.
    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = kbnt(arguments);
        command.envs(variables.iter().copied());
        Self::of(command, 0)
    }

    /// The same with at most this many descriptors.
    pub fn start_with_descriptors(most: u32, arguments: &[&str]) -> Self {
        Self::start_limited(&format!("ulimit -n {most}"), arguments)
    }

    /// The same after this shell command.
    pub fn start_limited(limit: &str, arguments: &[&str]) -> Self {
        let mut shell = Command::new("bash");
        let limited = format!("{limit} && exec \"$0\" \"$@\"");
        shell
            .args(["-c", &limited, env!("CARGO_BIN_EXE_kbnt")])
            .args(arguments)
            .env_clear()
            .env("NO_COLOR", "1");
        Self::of(shell, 0)
    }

    /// The same with this limit on file sizes, in KiB.
    pub fn start_with_small_files(most: u32, arguments: &[&str]) -> Self {
        Self::start_limited(&format!("trap '' XFSZ; ulimit -f {most}"), arguments)
    }

    fn of(mut command: Command, port: u16) -> Self {
        command.args(["--port", &port.to_string(), "--log-format", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                let mut stderr = String::new();
                child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                panic!("it ended: {stderr}");
            };
            let line: Value = serde_json::from_str(&line).expect("every line is a JSON object");
            if line["operation"] == "started" {
                break line["payload"]["address"].as_str().unwrap().to_owned();
            }
        };
        // Its further output must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let client = kbnt_adapters::outbound::streaming_client().unwrap();
        Self { child, url: format!("http://{address}"), client }
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.client.put(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
    }

    pub async fn declare(&self, received: u64) {
        let body = json!({"name": "Smartphone X", "unitPrice": "599.99", "received": received});
        assert_eq!(self.put("/v1/stock/PROD-001", &body).await.0, 200);
    }

    pub async fn until_ready(&self) {
        let give_up = Instant::now() + DEADLINE;
        while self.get("/readyz").await.0 != 200 {
            assert!(Instant::now() < give_up, "never ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let give_up = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < give_up, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn basket(user: &str, token: &str) -> Value {
    json!({
        "userId": user,
        "items": [{"productId": "PROD-001", "quantity": 1}],
        "payment": {"method": "credit_card", "token": token},
    })
}
