//! A process that waits ends after a signal, whatever it waits for.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Running, basket, kbnt};

/// How long the end may take after the signal.
const WITHIN: Duration = Duration::from_secs(20);

/// A program that may wait for ever.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Waiting {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || BufReader::new(stderr).lines().for_each(drop));
        Self(child)
    }

    /// Sends a signal and waits for the end. Returns the exit code.
    fn signal_and_wait(&mut self, signal: &str) -> Option<i32> {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        let sent = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            assert!(sent.elapsed() < WITHIN, "it does not hear {signal}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The result of `get`, with a deadline.
fn in_time<T: Send + 'static>(get: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(get()));
    receive.recv_timeout(DEADLINE).expect("it never comes so far")
}

/// A server that accepts connections and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Starts a client of a silent server, waits until it has connected, and sends it a signal.
fn exit_code_while_nobody_answers(arguments: impl Fn(&str) -> Vec<String>, signal: &str) -> Option<i32> {
    let (listener, address) = silent();
    let arguments = arguments(&address);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut program = Waiting::start(&mut kbnt(&arguments));
    let connection = in_time(move || listener.accept().map(|(stream, _)| (stream, listener)));
    let code = program.signal_and_wait(signal);
    drop(connection);
    code
}

fn split_arguments(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

#[test]
fn a_server_that_does_not_answer_keeps_nobody() {
    for (command, code) in [
        ("tail --url http://{}", 0),
        ("audit verify --url http://{}", 143),
        ("dlq list --url http://{}", 143),
        ("dlq show order-events/0@1 --url http://{}", 143),
    ] {
        let ended = exit_code_while_nobody_answers(
            |address| split_arguments(&command.replace("{}", address)),
            "TERM",
        );
        assert_eq!(ended, Some(code), "{command}");
    }
    let interrupted = |address: &str| split_arguments(&format!("audit verify --url http://{address}"));
    assert_eq!(exit_code_while_nobody_answers(interrupted, "INT"), Some(130));
}

#[test]
fn a_broker_that_does_not_answer_keeps_nobody() {
    for (command, code) in [
        ("service inventory --port 0 --bootstrap-servers {}", 0),
        ("service order --port 0 --bootstrap-servers {}", 0),
        ("tail --bootstrap-servers {}", 0),
        ("audit verify --bootstrap-servers {}", 143),
        ("dlq replay order-events/0@1 --bootstrap-servers {}", 143),
        (
            r#"topics ensure --within 10m --wanted [{"name":"t","partitions":1,"replicas":1}] --bootstrap-servers {}"#,
            143,
        ),
    ] {
        let ended = exit_code_while_nobody_answers(
            |address| split_arguments(&command.replace("{}", address)),
            "TERM",
        );
        assert_eq!(ended, Some(code), "{command}");
    }
}

#[test]
fn an_api_server_that_does_not_answer_keeps_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (listener, address) = silent();
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
    });
    let path = directory.path().join("kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    let arguments = "service inventory --port 0 --bootstrap-servers 127.0.0.1:1 --lease shop/main \
                     --advertised-address 127.0.0.1";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let mut program = Waiting::start(kbnt(&arguments).env("KUBECONFIG", &path));
    let connection = in_time(move || listener.accept().map(|(stream, _)| (stream, listener)));
    assert_eq!(program.signal_and_wait("TERM"), Some(0));
    drop(connection);
}

/// A pipe that waits for a writer.
fn pipe(directory: &Path, name: &str) -> std::path::PathBuf {
    let path = directory.join(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

#[test]
fn a_file_that_nobody_writes_keeps_nobody() {
    let directory = tempfile::tempdir().unwrap();
    for (command, code) in [
        ("serve --port 0 --seed-file {}", 0),
        ("serve --port 0 --users-file {}", 0),
        ("serve --port 0 --payment-url http://127.0.0.1:1 --payment-secret-file {}", 0),
        ("service user --port 0 --bootstrap-servers 127.0.0.1:1 --kafka-properties-file {}", 0),
        ("topics ensure --bootstrap-servers 127.0.0.1:1 --wanted-file {}", 143),
    ] {
        let path = pipe(directory.path(), "pipe");
        let arguments = split_arguments(&command.replace("{}", path.to_str().unwrap()));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut program = Waiting::start(&mut kbnt(&arguments));
        let opened = path.clone();
        // This opens as soon as the other side does.
        let writer: File = in_time(move || OpenOptions::new().write(true).open(opened)).unwrap();
        assert_eq!(program.signal_and_wait("TERM"), Some(code), "{command}");
        drop(writer);
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_disk_that_takes_nothing_keeps_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let stock: Vec<_> = (0..200)
        .map(|n| json!({"productId": format!("P-{n}"), "name": "n", "unitPrice": "1.00", "received": 1}))
        .collect();
    let seed = directory.path().join("seed.json");
    std::fs::write(&seed, json!({"stock": stock}).to_string()).unwrap();
    // No file may grow beyond 1 KiB.
    let script = r#"ulimit -f 1; exec "$@""#;
    let mut command = Command::new("bash");
    command.args([
        "-c",
        script,
        "bash",
        env!("CARGO_BIN_EXE_kbnt"),
        "serve",
        "--port",
        "0",
        "--log-format",
        "json",
    ]);
    command.arg("--seed-file").arg(&seed).arg("--data-dir").arg(directory.path().join("data")).env_clear();
    let mut program = Waiting::start(&mut command);
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    in_time(move || {
        lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .any(|line| line["level"] == "WARN" || line["level"] == "ERROR")
            .then(|| std::thread::spawn(move || lines.for_each(drop)))
            .expect("it ended without a warning");
    });
    assert_eq!(program.signal_and_wait("TERM"), Some(0));
}

#[tokio::test]
async fn a_limit_of_file_sizes_ends_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().to_str().unwrap().to_owned();
    let mut shop =
        Running::start_limited("ulimit -f 64", &["serve", "--allow-unknown-users", "--data-dir", &data_dir]);
    shop.until_ready().await;
    shop.declare(100).await;
    let give_up = Instant::now() + DEADLINE;
    let refused = loop {
        assert!(Instant::now() < give_up, "the limit is never reached");
        let (status, answer) = shop.post("/v1/orders", &basket("USER-1", "tok_ok")).await;
        if status != 202 {
            break (status, answer["code"].clone());
        }
    };
    assert!([json!("outcome_unknown"), json!("not_ready")].contains(&refused.1), "{refused:?}");
    // A shorter record may just have had room.
    loop {
        let (status, readiness) = shop.get("/readyz").await;
        if status == 503 && readiness["waitingFor"].as_array().unwrap().contains(&json!("log-files")) {
            break;
        }
        assert!(Instant::now() < give_up, "{readiness}");
        let _ = shop.post("/v1/orders", &basket("USER-1", "tok_ok")).await;
    }
    shop.signal("TERM");
    shop.ended();
    let shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", &data_dir]);
    shop.until_ready().await;
    assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-2", "tok_ok")).await.0, 200);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut shop = Running::start(&["serve"]);
    shop.until_ready().await;
    let address = shop.url.strip_prefix("http://").unwrap().to_owned();
    let mut half = TcpStream::connect(&address).unwrap();
    half.write_all(
        b"POST /v1/users HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
    )
    .unwrap();
    // Its head is read before the signal arrives.
    shop.until_ready().await;
    shop.signal("TERM");
    let give_up = Instant::now() + DEADLINE;
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < give_up, "it takes connections though it was told to stop");
        std::thread::sleep(Duration::from_millis(10));
    }
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(143));
    let mut answer = Vec::new();
    // The connection may be closed or reset, but there must be no response.
    let _ = half.read_to_end(&mut answer);
    assert_eq!(answer, b"");
}

#[test]
fn simulator_and_demo_end_too() {
    let mut broker = Running::start(&["simulator"]);
    let idle = TcpStream::connect(broker.url.strip_prefix("http://").unwrap()).unwrap();
    broker.signal("INT");
    assert_eq!(broker.ended().code(), Some(0));
    drop(idle);
    let mut demo = Waiting::start(&mut kbnt(&["demo"]));
    let mut first = String::new();
    BufReader::new(demo.0.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(demo.signal_and_wait("TERM"), Some(143));
}
