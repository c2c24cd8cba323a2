//! Options and variables whose effect would differ from what they say.

use std::process::Output;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::Uri;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Running, basket, kbnt};

fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output: Output = kbnt(arguments).envs(variables.iter().copied()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?} {variables:?}: {said}");
    said
}

#[test]
fn the_history_is_in_a_directory_or_in_a_database_and_its_address_is_no_option() {
    let order = ["service", "order", "--bootstrap-servers", "127.0.0.1:1", "--port", "0"];
    let with = |more: &[&'static str]| [&order[..], more].concat();
    let said = refused(&with(&["--history-dir", "/tmp", "--history-postgres"]), &[]);
    assert!(said.contains("--history-dir and --history-postgres cannot be used together"), "{said}");
    let both = [("KBNT_HISTORY_DIR", "/tmp"), ("KBNT_HISTORY_POSTGRES", "true")];
    let said = refused(&with(&[]), &both);
    assert!(said.contains("KBNT_HISTORY_DIR and KBNT_HISTORY_POSTGRES are both set"), "{said}");
    let fails = |variables: &[(&str, &str)]| {
        let mut command = kbnt(&with(&["--history-postgres"]));
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(!output.status.success(), "{variables:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    // The command line decides, and the database has no address.
    let said = fails(&both);
    assert!(said.contains("--history-postgres needs KBNT_HISTORY_POSTGRES_URL"), "{said}");
    let said = fails(&[("KBNT_HISTORY_POSTGRES_URL", "postgres://shop:pa55word@[db/orders")]);
    assert!(said.contains("it is no URL") && !said.contains("pa55word"), "{said}");
    refused(&with(&["--history-postgres", "postgres://shop@db/orders"]), &[]);
}

#[test]
fn addresses_that_cannot_be_called_are_refused_at_once() {
    for (option, address, why) in [
        ("--payment-url", "gateway:8080", "begins with http:// or https://"),
        ("--payment-url", "ftp://x", "begins with http:// or https://"),
        ("--payment-url", "http://h/pay?tenant=7", "must not have a query"),
        ("--payment-url", "http://gateway:99999/", "a port is a number from 1 to 65535"),
        ("--otlp-endpoint", "collector:4318", "begins with http:// or https://"),
        ("--otlp-endpoint", "http://collector:4318/?x", "must not have a query"),
        ("--webhook-url", "hooks.example.com", "begins with http:// or https://"),
        ("--webhook-url", "http://h/#x", "fragment"),
    ] {
        let said = refused(&["serve", "--port", "0", option, address, "--webhook-secret-file", "x"], &[]);
        assert!(said.contains(why) && said.contains(option), "{option} {address}: {said}");
        let variable = match option {
            "--payment-url" => "KBNT_PAYMENT_URL",
            "--webhook-url" => "KBNT_WEBHOOK_URL",
            _ => "OTEL_EXPORTER_OTLP_ENDPOINT",
        };
        let said = refused(&["serve", "--port", "0", "--webhook-secret-file", "x"], &[(variable, address)]);
        assert!(said.contains(why), "{variable} {address}: {said}");
    }
    for command in [&["tail"][..], &["audit", "verify"], &["dlq", "list"]] {
        for (option, address, why) in [
            ("--url", "127.0.0.1:8080", "begins with http:// or https://"),
            ("--url", "http://h:0", "a port is a number"),
            ("--bootstrap-servers", "localhost", "is no host:port"),
            ("--bootstrap-servers", "a:1, b:1", "is no host:port"),
            ("--bootstrap-servers", "http://a:1", "is no host:port"),
        ] {
            let said = refused(&[command, &[option, address]].concat(), &[]);
            assert!(said.contains(why), "{command:?} {option} {address}: {said}");
        }
    }
    assert!(refused(&["tail", "--topic", "order-event"], &[]).contains("there are user-events"));
    for empty in [&["serve", "--data-dir", ""][..], &["serve", "--seed-file", ""], &["tail", "--topic", ""]] {
        refused(empty, &[]);
    }
    assert!(refused(&["service", "user", "--bootstrap-servers", "a:99999"], &[]).contains("is no host:port"));
}

#[test]
fn flags_are_given_as_people_write_them() {
    let demo =
        |value: &str| kbnt(&["demo", "--scenario", "success"]).env("KBNT_JSON", value).output().unwrap();
    let is_json = |value: &str| serde_json::from_slice::<Value>(&demo(value).stdout).is_ok();
    for value in ["1", "true", "yes", "on", "TRUE", "Yes"] {
        assert!(is_json(value), "{value}");
    }
    for value in ["0", "false", "no", "off", ""] {
        assert!(demo(value).status.success() && !is_json(value), "{value}");
    }
    assert!(refused(&["demo"], &[("KBNT_JSON", "maybe")]).contains("maybe"));
}

#[test]
fn what_is_named_is_what_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("d1");
    let data_dir = data_dir.to_str().unwrap();
    let (url, servers) = ("http://127.0.0.1:1", "127.0.0.1:1");
    for command in [&["audit", "verify"][..], &["dlq", "list"]] {
        for two in [
            ["--data-dir", data_dir, "--url", url],
            ["--bootstrap-servers", servers, "--url", url],
            ["--data-dir", data_dir, "--bootstrap-servers", servers],
        ] {
            let said = refused(&[command, &two].concat(), &[]);
            assert!(said.contains(&format!("{} and {} cannot", two[0], two[2])), "{command:?}: {said}");
        }
        let said = refused(command, &[("KBNT_DATA_DIR", data_dir), ("KBNT_BOOTSTRAP_SERVERS", servers)]);
        assert!(said.contains("KBNT_DATA_DIR and KBNT_BOOTSTRAP_SERVERS are both set"), "{said}");
        let variables = [("KBNT_DATA_DIR", data_dir), ("KBNT_BOOTSTRAP_SERVERS", servers), ("KBNT_URL", url)];
        for (named, said_of) in [
            (["--url", "http://127.0.0.1:2"], "http://127.0.0.1:2/"),
            (["--data-dir", directory.path().to_str().unwrap()], "there is no log in"),
        ] {
            let output = kbnt(&[command, &named].concat()).envs(variables).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command:?} {named:?}: {said}");
            assert!(said.contains(said_of), "{command:?} {named:?}: {said}");
        }
        // A single variable is used.
        let output = kbnt(command).env("KBNT_DATA_DIR", data_dir).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("there is no log in"), "{output:?}");
    }
    let said = refused(&["tail", "--bootstrap-servers", servers, "--url", url], &[]);
    assert!(said.contains("--bootstrap-servers and --url cannot"), "{said}");
}

#[test]
fn services_that_need_several_addresses_take_them() {
    // The file is the error here.
    let serve =
        ["serve", "--data-dir", "/nowhere", "--payment-url", "http://127.0.0.1:1", "--seed-file", "/nowhere"];
    let output = kbnt(&serve).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn a_form_that_is_named_counts_more_than_a_variable() {
    let show = ["dlq", "show", "order-events/0@1", "--data-dir", "/nowhere"];
    let ended = |named: &[&str], variables: &[(&str, &str)]| {
        let output = kbnt(&[&show, named].concat()).envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (named, variables) in [
        (&["--raw"][..], &[("KBNT_JSON", "0")][..]),
        (&["--raw"], &[("KBNT_JSON", "1")]),
        (&["--json"], &[("KBNT_RAW", "yes")]),
        (&[], &[("KBNT_JSON", "1"), ("KBNT_RAW", "no")]),
    ] {
        let (code, said) = ended(named, variables);
        assert_eq!(code, Some(1), "{named:?} {variables:?}: {said}");
        assert!(said.contains("there is no log in"), "{said}");
    }
    let (code, said) = ended(&["--raw", "--json"], &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--raw and --json cannot be used together"), "{said}");
}

#[tokio::test]
async fn an_empty_variable_is_as_good_as_none() {
    let empty = [
        "KBNT_ALLOW_UNKNOWN_USERS",
        "KBNT_DATA_DIR",
        "KBNT_SEED_FILE",
        "KBNT_PAYMENT_URL",
        "KBNT_WEBHOOK_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "KBNT_LOG",
        "KBNT_RESERVATION_TTL",
        "KBNT_HTTP_ADDRESS",
    ];
    let mut shop = Running::start_with(&["serve"], &empty.map(|name| (name, "")));
    shop.until_ready().await;
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    for value in ["1", "yes", "on"] {
        let shop = Running::start_with(&["serve"], &[("KBNT_ALLOW_UNKNOWN_USERS", value)]);
        shop.until_ready().await;
        shop.declare(1).await;
        let (status, order) = shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await;
        assert_eq!((status, &order["status"]), (200, &json!("CONFIRMED")), "{order}");
    }
}

#[test]
fn a_log_filter_that_would_silence_everything_is_refused() {
    for filter in [
        "loud",
        "debgu",
        "warnings",
        "kbnt_kafka",
        "info,kbnt=loud",
        " ",
        "[foo]",
        "infoo,[a]=debug",
        "kbnt infra=debug",
    ] {
        assert!(refused(&["serve", "--port", "0", "--log", filter], &[]).contains("--log"), "{filter}");
    }
    // The option is accepted; the file is the error here.
    let output = kbnt(&["serve", "--log", "warning", "--seed-file", "/nowhere"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// The requests that a gateway received; it charges everything.
type Asked = Arc<Mutex<Vec<Uri>>>;

async fn charge(State(asked): State<Asked>, uri: Uri, Json(body): Json<Value>) -> Json<Value> {
    asked.lock().unwrap().push(uri);
    Json(json!({"orderId": body["orderId"], "status": "charged", "transactionId": "t-1"}))
}

async fn gateway() -> (String, Asked) {
    let asked = Asked::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(charge).with_state(asked.clone());
    tokio::spawn(async { axum::serve(listener, router).await });
    (address, asked)
}

async fn buy(payment_url: &str, proxy: &str) {
    let variables = [("HTTP_PROXY", proxy), ("http_proxy", proxy), ("ALL_PROXY", proxy)];
    let shop =
        Running::start_with(&["serve", "--allow-unknown-users", "--payment-url", payment_url], &variables);
    shop.until_ready().await;
    shop.declare(1).await;
    let (status, order) = shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await;
    assert_eq!((status, &order["status"]), (200, &json!("CONFIRMED")), "{order}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_asked_for_others_and_never_for_this_machine() {
    let (address, asked) = gateway().await;
    buy(&format!("{address}/pay"), "http://127.0.0.1:1").await;
    assert_eq!(asked.lock().unwrap().as_slice(), ["/pay/charges"]);
    // The gateway's name does not resolve; the proxy gets the complete URL.
    let (proxy, asked) = gateway().await;
    buy("http://gateway.invalid/pay", &proxy).await;
    assert_eq!(asked.lock().unwrap().as_slice(), ["http://gateway.invalid/pay/charges"]);

    let broker = Running::start(&["simulator"]);
    assert_eq!(broker.post("/topics/user-events/messages", &json!({"value": 1})).await.0, 201);
    let url = broker.url.clone();
    let tail = move || {
        kbnt(&["tail", "--from-beginning", "--limit", "1", "--url", &url])
            .env("HTTP_PROXY", "http://127.0.0.1:1")
            .env("http_proxy", "http://127.0.0.1:1")
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(tail).await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn checkpoints_are_of_something_that_is_kept_on_disk() {
    let to = ["--checkpoint-to", "/nowhere"];
    for (service, also, missing) in [
        ("order", None, "--history-dir DIR (KBNT_HISTORY_DIR)"),
        ("order", Some("--snapshot-dir"), "--history-dir DIR (KBNT_HISTORY_DIR)"),
        ("order", Some("--history-postgres"), "which has backups of its own"),
        ("inventory", None, "--snapshot-dir DIR (KBNT_SNAPSHOT_DIR)"),
        ("audit", Some("--history-dir"), "--snapshot-dir DIR (KBNT_SNAPSHOT_DIR)"),
    ] {
        let mut arguments = vec!["service", service, "--port", "0", "--bootstrap-servers", "127.0.0.1:1"];
        arguments.extend(to);
        arguments.extend(also);
        if also.is_some_and(|option| option.ends_with("-dir")) {
            arguments.push("/nowhere");
        }
        let output = kbnt(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(missing), "{arguments:?}: {said}");
    }
}
