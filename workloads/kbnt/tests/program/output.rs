//! Output without a reader, and output of malicious records.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Read};
use std::process::{Output, Stdio};

use serde_json::json;

use crate::support::{DEADLINE, Running, kbnt};

/// Commands that print something, with a shop at `url`.
fn commands(url: &str) -> Vec<Vec<String>> {
    [
        "--help",
        "--version",
        "help serve",
        "openapi",
        "demo --scenario success",
        "demo --scenario success --json",
        "tail --from-beginning --limit 1 --url {}",
        "tail --from-beginning --limit 1 --json --url {}",
        "audit verify --url {}",
        "dlq list --url {}",
        "dlq list --json --url {}",
        r#"topics ensure --bootstrap-servers 127.0.0.1:1 --within 1s --wanted [{"name":"t","partitions":1,"replicas":1}]"#,
    ]
    .iter()
    .map(|command| command.replace("{}", url).split(' ').map(str::to_owned).collect())
    .collect()
}

async fn run_to(command: Vec<String>, stdout: Stdio) -> Output {
    let run = move || {
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        kbnt(&arguments).stdout(stdout).output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_reader_that_went_away_ends_a_command_quietly() {
    let shop = Running::start(&["serve"]);
    shop.until_ready().await;
    for command in commands(&shop.url) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run_to(command.clone(), writer.into()).await;
        assert_eq!(
            (output.status.code(), output.stderr.as_slice()),
            (Some(141), b"".as_slice()),
            "{command:?}: {output:?}"
        );
    }
}

#[tokio::test]
async fn a_full_disk_under_stdout_is_an_error() {
    let shop = Running::start(&["serve"]);
    shop.until_ready().await;
    for command in commands(&shop.url) {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = run_to(command.clone(), full.into()).await;
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}: {output:?}");
        assert!(
            said.starts_with("kbnt: stdout cannot be written to: ") && said.lines().count() == 1,
            "{command:?}: {said}"
        );
    }
}

/// Whether a text contains no control characters.
fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c != '\n' && c.is_control() || matches!(c, '\u{202e}' | '\u{2028}'))
}

#[test]
fn options_that_mean_harm_are_refused_in_plain_characters() {
    let evil = "\u{1b}[2J\u{85}\u{9b}31m\u{202e}\nx";
    for arguments in [
        &["serve", "--port", evil][..],
        &["serve", &format!("--{evil}")],
        &[evil],
        &["tail", "--topic", evil],
        &["audit", "verify", "--url", evil],
        &["audit", "verify", "--bootstrap-servers", evil],
        &["demo", "--scenario", evil],
        &["dlq", "show", evil],
        &["serve", "--log", evil],
        &["serve", "--reservation-ttl", evil],
        &["demo", evil],
    ] {
        let output = kbnt(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said:?}");
        assert!(is_plain(&said) && !said.contains("\nx"), "{arguments:?}: {said:?}");
        assert!(said.starts_with("error: "), "{said:?}");
    }
}

#[tokio::test]
async fn lines_about_files_that_mean_harm_are_plain() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("u.json");
    let field = "\u{1b}[2J\u{85}\u{9b}31m\u{202e}";
    std::fs::write(&file, json!([{field: 1}]).to_string()).unwrap();
    for format in ["text", "json"] {
        let mut command =
            kbnt(&["serve", "--port", "0", "--log-format", format, "--users-file", file.to_str().unwrap()]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pipe: Box<dyn Read + Send> = match format {
            "text" => Box::new(child.stderr.take().unwrap()),
            _ => Box::new(child.stdout.take().unwrap()),
        };
        let line = tokio::task::spawn_blocking(|| {
            BufReader::new(pipe).lines().map(Result::unwrap).find(|line| line.contains("a user is left out"))
        });
        let line = tokio::time::timeout(DEADLINE, line).await.expect("it is not told").unwrap().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_plain(&line), "{format}: {line:?}");
        let escaped = if format == "json" { "\\u009b31m\\u202e" } else { "\\u{9b}31m\\u{202e}" };
        assert!(line.contains(escaped), "{format}: {line:?}");
    }
}

#[tokio::test]
async fn nothing_panics_where_stderr_is_full() {
    for (command, code) in [(&["serve", "--seed-file", "/nowhere"][..], 1), (&["nonsense"], 2)] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = kbnt(command).stderr(full).stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(code), "{command:?}");
    }
}

#[tokio::test]
async fn events_that_mean_harm_are_shown_in_plain_characters() {
    let broker = Running::start(&["simulator"]);
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\nERROR \u{9b}31m\u{202e}x\u{2028}";
    let event = json!({
        "eventName": evil, "service": evil, "level": evil, "hexagonal_layer": evil, "timestamp": evil.repeat(3),
        "correlationId": evil, "payload": {evil: evil},
    });
    for value in [event, json!(evil)] {
        assert_eq!(broker.post("/topics/user-events/messages", &json!({"value": value})).await.0, 201);
    }
    for (form, lines) in [(&[][..], None), (&["--json"], Some(2))] {
        let mut command =
            vec!["tail", "--from-beginning", "--limit", "2", "--topic", "user-events", "--url", &broker.url];
        command.extend(form);
        let output = run_to(command.into_iter().map(str::to_owned).collect(), Stdio::piped()).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let harmful = |c: char| c != '\n' && c.is_control() || matches!(c, '\u{202e}' | '\u{2028}');
        assert!(!text.contains(harmful), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("ERROR")), "{text}");
        assert!(lines.is_none_or(|lines| text.lines().count() == lines), "{text}");
    }
}
