//! `kbnt audit verify`.

use serde_json::json;

use crate::support::{Running, basket, kbnt};

#[tokio::test]
async fn the_trail_of_a_shop_is_whole_while_it_runs_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let mut shop = Running::start(&["serve", "--allow-unknown-users", "--data-dir", &path]);
    shop.until_ready().await;
    shop.declare(10).await;
    for token in ["tok_ok", "tok_decline"] {
        assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-1", token)).await.0, 200);
    }
    let url = shop.url.clone();
    let running =
        tokio::task::spawn_blocking(move || kbnt(&["audit", "verify", "--url", &url]).output().unwrap());
    let output = running.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("the audit trail is whole"), "{text}");
    assert!(text.trim_end().ends_with(&format!("; read from {}", shop.url)), "{text}");
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    let output = kbnt(&["audit", "verify", "--data-dir", &path]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.trim_end().ends_with(&format!("; read from {path}")), "{text}");
}

#[tokio::test]
async fn the_first_wrong_entry_is_named() {
    let broker = Running::start(&["simulator"]);
    let forged = json!({
        "eventName": "AuditLogCreated", "payload": {"sequence": 0, "hash": "00"}, "timestamp": "2026-01-31T12:00:00.000Z",
    });
    assert_eq!(broker.post("/topics/audit-logs/messages", &json!({"value": forged})).await.0, 201);
    let url = broker.url.clone();
    let verify =
        tokio::task::spawn_blocking(move || kbnt(&["audit", "verify", "--url", &url]).output().unwrap());
    let output = verify.await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("audit-logs/0@0"), "{output:?}");
}

#[tokio::test]
async fn names_of_any_script_come_whole_over_http() {
    let directory = tempfile::tempdir().unwrap();
    let users: Vec<_> = (0..1_500)
        .map(|n| json!({"userId": format!("USER-{n}"), "name": "東京".repeat(100), "email": "a@example.com"}))
        .collect();
    let seed = directory.path().join("seed.json");
    std::fs::write(&seed, json!({"users": users}).to_string()).unwrap();
    let shop = Running::start(&["serve", "--seed-file", seed.to_str().unwrap()]);
    shop.until_ready().await;
    let url = shop.url.clone();
    let verify =
        tokio::task::spawn_blocking(move || kbnt(&["audit", "verify", "--url", &url]).output().unwrap());
    let output = verify.await.unwrap();
    assert!(output.status.success(), "{output:?}");
}
