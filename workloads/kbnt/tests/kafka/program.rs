//! `kbnt topics ensure` on a real broker: the one of `KBNT_TEST_BOOTSTRAP`.

use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Runs it as the operator does, with variables.
fn ensure(servers: &str, wanted: &Value, more: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbnt"));
    command.args(["topics", "ensure"]).env_clear();
    command.env("KBNT_BOOTSTRAP_SERVERS", servers).env("KBNT_WANTED_TOPICS", wanted.to_string());
    command.envs(more.iter().copied()).output().unwrap()
}

fn states(report: &[u8]) -> Vec<String> {
    let report: Value = serde_json::from_slice(report).unwrap();
    let topics = report["topics"].as_array().unwrap();
    topics.iter().map(|topic| topic["state"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
fn the_report_and_the_exit_code_say_what_became_of_the_topics() {
    let servers = std::env::var("KBNT_TEST_BOOTSTRAP").expect("KBNT_TEST_BOOTSTRAP names a broker");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let topic = |name: &str, partitions: i32| {
        json!({"name": format!("program-{now}.{name}"), "partitions": partitions, "replicas": 1,
               "configs": {"retention.ms": "-1"}})
    };
    let both = json!([topic("a", 3), topic("b", 1)]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report");
    let report = ("KBNT_REPORT_FILE", file.to_str().unwrap());

    let first = ensure(&servers, &both, &[report]);
    assert_eq!((first.status.code(), states(&first.stdout)), (Some(0), vec!["created".into(); 2]));
    assert_eq!(std::fs::read(&file).unwrap(), first.stdout.trim_ascii_end());
    let again = ensure(&servers, &both, &[]);
    assert_eq!((again.status.code(), states(&again.stdout)), (Some(0), vec!["ready".into(); 2]));

    let other = ensure(&servers, &json!([topic("a", 1), topic("b", 1)]), &[report]);
    assert_eq!(
        (other.status.code(), states(&other.stdout)),
        (Some(1), vec!["wrong".to_owned(), "ready".to_owned()])
    );
    assert_eq!(states(&std::fs::read(&file).unwrap()), ["wrong", "ready"]);
}

#[test]
fn a_cluster_that_cannot_be_reached_is_worth_another_try_and_a_wish_that_is_no_json_is_not() {
    let topic = json!([{"name": "a", "partitions": 1, "replicas": 1}]);
    let nobody = ensure("127.0.0.1:1", &topic, &[("KBNT_TOPICS_WITHIN", "0s")]);
    assert_eq!((nobody.status.code(), states(&nobody.stdout)), (Some(2), vec!["failed".to_owned()]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report");
    let wrong = ensure("127.0.0.1:1", &json!({}), &[("KBNT_REPORT_FILE", file.to_str().unwrap())]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = std::fs::read_to_string(file).unwrap();
    assert!(said.contains("the wanted topics"), "{said}");
}

#[test]
fn topic_ids_that_are_none_are_refused_at_the_start_with_what_is_wrong() {
    for (ids, said) in [
        ("order-events=abc", "\"abc\" is no topic id"),
        ("orders=WOl_vM4-QU2HyDFeU4Yg0w", "no topic \"orders\""),
        ("WOl_vM4-QU2HyDFeU4Yg0w", "is not NAME=ID"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbnt"));
        command.args(["service", "user", "--port", "0"]).env_clear().env("NO_COLOR", "1");
        command.env("KBNT_BOOTSTRAP_SERVERS", "127.0.0.1:1").env("KBNT_KAFKA_TOPIC_IDS", ids);
        let refused = command.output().unwrap();
        let stderr = String::from_utf8(refused.stderr).unwrap();
        assert!(refused.status.code() == Some(2) && stderr.contains(said), "{:?} {stderr}", refused.status);
    }
}

#[test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
fn an_event_store_keeps_everything_whatever_is_wished() {
    let servers = std::env::var("KBNT_TEST_BOOTSTRAP").expect("KBNT_TEST_BOOTSTRAP names a broker");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    let topic = |configs: Value| json!([{"name": format!("pinned-{now}.order-events"), "partitions": 1, "replicas": 1, "configs": configs}]);
    let first = ensure(&servers, &topic(json!({})), &[]);
    assert_eq!((first.status.code(), states(&first.stdout)), (Some(0), vec!["created".to_owned()]));
    let again = ensure(&servers, &topic(json!({})), &[]);
    assert_eq!(states(&again.stdout), ["ready"]);
    let finite = ensure(&servers, &topic(json!({"retention.ms": "60000"})), &[]);
    assert_eq!((finite.status.code(), states(&finite.stdout)), (Some(1), vec!["wrong".to_owned()]));
}
