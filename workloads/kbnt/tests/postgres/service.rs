//! order-service with its history in a database.

use std::process::Stdio;

use kbnt_testkit::eventually;
use serde_json::Value;

use crate::program::{Running, basket, kbnt};
use crate::server::{PASSWORD, Server};
use crate::support::cluster::Cluster;

fn arguments(cluster: &Cluster) -> Vec<&str> {
    let (servers, prefix) = (&cluster.config.bootstrap_servers, &cluster.config.prefix);
    vec!["service", "order", "--bootstrap-servers", servers, "--topic-prefix", prefix, "--history-postgres"]
}

/// All orders that the history of a process finds, and how far it says that it has come.
async fn found(service: &Running) -> Option<(usize, String)> {
    let response = service.client.get(format!("{}/v1/orders?user=USER-1", service.url)).send().await.unwrap();
    let as_of = response.headers().get("kbnt-as-of")?.to_str().unwrap().to_owned();
    let page: Value = response.json().await.unwrap();
    Some((page["items"].as_array()?.len(), as_of))
}

#[tokio::test]
#[ignore = "starts a database, and needs KBNT_TEST_BOOTSTRAP"]
async fn two_replicas_share_what_outlives_both() {
    let (server, cluster) = (Server::start(), Cluster::with_topics("shared-history").await);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("url");
    std::fs::write(&file, format!("{}\n", server.url)).unwrap();
    // Either way to name it.
    let variables = [("KBNT_HISTORY_POSTGRES_URL", server.url.as_str())];
    let in_file = [("KBNT_HISTORY_POSTGRES_URL_FILE", file.to_str().unwrap())];
    let first = Running::start_with(&arguments(&cluster), &variables);
    let second = Running::start_with(&arguments(&cluster), &in_file);
    for service in [&first, &second] {
        service.until_ready().await;
        let line = std::fs::read(format!("/proc/{}/cmdline", service.id())).unwrap();
        assert!(!String::from_utf8_lossy(&line).contains(PASSWORD));
    }
    for service in [&first, &second, &first] {
        assert_eq!(service.post("/v1/orders", &basket("USER-1", "tok_ok")).await.0, 202);
    }
    for service in [&first, &second] {
        eventually("it shows all orders", || async {
            found(service).await.is_some_and(|(orders, _)| orders == 3)
        })
        .await;
        let metrics = service.client.get(format!("{}/metrics", service.url)).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        assert!(metrics.contains("kbnt_history_orders 3"), "{metrics}");
    }
    for mut service in [first, second] {
        service.signal("TERM");
        assert_eq!(service.ended().code(), Some(0));
    }
    let third = Running::start_with(&arguments(&cluster), &variables);
    third.until_ready().await;
    eventually("nothing had to be built", || async {
        found(&third).await.is_some_and(|(orders, _)| orders == 3)
    })
    .await;
    let schema = server.schema();
    assert_eq!(server.execute(&format!("SELECT orders FROM {schema}.progress")), "3");
}

#[tokio::test]
#[ignore = "starts a database, and needs KBNT_TEST_BOOTSTRAP"]
async fn orders_are_taken_without_a_database_and_no_line_tells_its_password() {
    let (server, cluster) = (Server::start(), Cluster::with_topics("no-database").await);
    server.kill();
    let directory = tempfile::tempdir().unwrap();
    let lines = directory.path().join("lines");
    let mut command = kbnt(&arguments(&cluster));
    command.args(["--port", "0", "--log-format", "json", "--log", "trace"]);
    command.env("KBNT_HISTORY_POSTGRES_URL", &server.url);
    command.stdout(std::fs::File::create(&lines).unwrap()).stderr(Stdio::null());
    let mut service = command.spawn().unwrap();
    let said = || std::fs::read_to_string(&lines).unwrap();
    let says = |operation: &str| said().contains(&format!("\"operation\":\"{operation}\""));
    eventually("it fails", || async { says("started") && says("history-failed") }).await;
    server.start_again();
    eventually("it is ready", || async { says("history-ready") }).await;
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(!said().contains(PASSWORD));
}
