//! `kbnt log verify`: a directory, and what cannot be verified.

use serde_json::Value;

use crate::support::{Running, basket, kbnt};

#[tokio::test]
async fn a_directory_is_verified_while_the_shop_is_open_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let mut shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", &path]);
    shop.until_ready().await;
    shop.declare(100).await;
    assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    let verify = |json: bool| {
        let mut command = kbnt(&["log", "verify", "--data-dir", &path]);
        command.args(json.then_some("--json"));
        async { tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap() }
    };
    let output = verify(true).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["intact"], &report["damage"]), (&true.into(), &serde_json::json!([])), "{output:?}");
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    let output = verify(false).await;
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text.contains("inventory-events") && text.contains("is missing"), "{text}");
    std::fs::remove_file(directory.path().join("offsets.json")).unwrap();
    let output = verify(true).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["endProven"]), (Some(4), &false.into()), "{output:?}");
}

#[test]
fn a_running_program_shows_no_log_to_verify() {
    let output = kbnt(&["log", "verify"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--data-dir or --bootstrap-servers"), "{said}");
}
