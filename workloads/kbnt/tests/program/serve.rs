//! `kbnt serve` and `kbnt tail`.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Running, basket, free_port, kbnt};

#[tokio::test]
async fn a_shop_serves_everything_on_one_port_and_closes_when_it_is_told() {
    let seed = tempfile::NamedTempFile::new().unwrap();
    let text = json!({
        "stock": [{"productId": "PROD-001", "name": "Smartphone X", "unitPrice": "599.99", "received": 100}],
        "users": [{"userId": "USER-12345", "name": "Ana", "email": "ana@example.com"}],
    });
    std::fs::write(seed.path(), text.to_string()).unwrap();
    let mut shop = Running::start(&["serve", "--seed-file", seed.path().to_str().unwrap()]);
    shop.until_ready().await;
    assert_eq!(shop.get("/v1/users/USER-12345").await.1["name"], "Ana");
    let (status, order) = shop.post("/v1/orders?wait=20s", &basket("USER-12345", "tok_ok")).await;
    assert_eq!((status, &order["status"]), (200, &json!("CONFIRMED")), "{order}");
    assert_eq!(shop.get("/v1/stock/PROD-001").await.1["real"], 99);
    let metrics =
        shop.client.get(format!("{}/metrics", shop.url)).send().await.unwrap().text().await.unwrap();
    for line in [
        "kbnt_orders_total{status=\"confirmed\"} 1",
        "kbnt_stock_level{kind=\"available\",product=\"PROD-001\"} 99",
        "kbnt_reservations_active 0",
        "kbnt_invariant_violations 0",
        "kbnt_payment_duration_count{operation=\"charge\",outcome=\"charged\"} 1",
        "kbnt_events_processed_total{topic=\"order-events\"}",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
}

#[tokio::test]
async fn a_log_in_use_is_refused_and_a_seed_file_that_says_nonsense_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let _first = Running::start(&["serve", "--data-dir", path]);
    let second = kbnt(&["serve", "--port", "0", "--data-dir", path]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"), "{second:?}");
    let seed = directory.path().join("seed.json");
    std::fs::write(&seed, r#"{"stock": [{"productId": "a b"}"#).unwrap();
    let broken = kbnt(&["serve", "--port", "0", "--seed-file", seed.to_str().unwrap()]).output().unwrap();
    assert_eq!(broken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&broken.stderr).contains("seed.json"), "{broken:?}");
}

fn product(id: &str, price: &str, received: u64) -> Value {
    json!({"productId": id, "name": "Smartphone X", "unitPrice": price, "received": received})
}

fn write_seed(path: &std::path::Path, stock: &[Value]) {
    let bad = json!({"userId": "USER-2", "name": "Ana Maria\n", "email": "ana@example.com"});
    let users = [bad, json!({"userId": "USER-1", "name": "Ana", "email": "ana@example.com"})];
    std::fs::write(path, json!({"stock": stock, "users": users}).to_string()).unwrap();
}

#[tokio::test]
async fn a_bad_entry_of_a_seed_file_keeps_nobody_from_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let seed = directory.path().join("seed.json");
    let data = directory.path().join("data");
    let arguments = ["serve", "--data-dir", data.to_str().unwrap(), "--seed-file", seed.to_str().unwrap()];
    let bad = [product("summary", "1", 1), product("X\t", "1", 1), product("P-3", "1.234", 1)];
    write_seed(&seed, &[&bad[..], &[product("PROD-001", "599.99", 1)]].concat());
    let mut shop = Running::start(&arguments);
    shop.until_ready().await;
    assert_eq!((shop.get("/v1/users/USER-1").await.0, shop.get("/v1/users/USER-2").await.0), (200, 404));
    assert_eq!(shop.get("/v1/stock/P-3").await.0, 404);
    let (status, order) = shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await;
    assert_eq!((status, &order["status"]), (200, &json!("CONFIRMED")), "{order}");
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
    // A product with sold units cannot be removed.
    write_seed(&seed, &[product("PROD-001", "599.99", 0), product("PROD-002", "1", 7)]);
    let shop = Running::start(&arguments);
    shop.until_ready().await;
    assert_eq!(shop.get("/v1/stock/PROD-001").await.1["received"]["seed"], 1);
    assert_eq!(shop.get("/v1/stock/PROD-002").await.1["real"], 7);
}

#[tokio::test]
async fn a_large_seed_file_is_declared_in_its_order() {
    let directory = tempfile::tempdir().unwrap();
    let seed = directory.path().join("seed.json");
    let mut stock: Vec<_> = (0..3_000).map(|n| product(&format!("P-{n}"), "1", n)).collect();
    stock.push(product("P-1", "1", 50_000));
    write_seed(&seed, &stock);
    let shop = Running::start(&["serve", "--seed-file", seed.to_str().unwrap()]);
    shop.until_ready().await;
    for (id, received) in [("P-0", 0), ("P-1", 50_000), ("P-2999", 2_999)] {
        assert_eq!(shop.get(&format!("/v1/stock/{id}")).await.1["real"], received, "{id}");
    }
}

#[tokio::test]
async fn what_a_seed_file_waits_for_can_be_asked() {
    let directory = tempfile::tempdir().unwrap();
    let seed = directory.path().join("seed.json");
    let stock: Vec<_> = (0..200).map(|n| product(&format!("P-{n}"), "1", n)).collect();
    write_seed(&seed, &stock);
    let data = directory.path().join("data");
    let arguments = ["serve", "--data-dir", data.to_str().unwrap(), "--seed-file", seed.to_str().unwrap()];
    let mut shop = Running::start_with_small_files(1, &arguments);
    assert_eq!(shop.get("/healthz").await.0, 200);
    let (status, ready) = shop.get("/readyz").await;
    assert_eq!(status, 503);
    let waiting = ready["waitingFor"].as_array().unwrap();
    assert!(waiting.contains(&json!("seed-file")), "{ready}");
    shop.signal("TERM");
    assert_eq!(shop.ended().code(), Some(0));
}

#[tokio::test]
async fn tail_shows_what_happens_with_totals_and_alerts() {
    let shop = Running::start(&["serve", "--allow-unknown-users"]);
    shop.until_ready().await;
    shop.declare(1).await;
    assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    // 3 elections, the declaration, low stock, 7 events of the order, and a link of the chain for each.
    let output = tokio::task::spawn_blocking({
        let url = shop.url.clone();
        move || kbnt(&["tail", "--from-beginning", "--limit", "24", "--url", &url]).output().unwrap()
    });
    let output = tokio::time::timeout(Duration::from_mins(1), output).await.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in ["LowStockEvent", "ALERT", "PaymentProcessedEvent", "events by", "payment-service"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let url = shop.url.clone();
    let only = tokio::task::spawn_blocking(move || {
        let arguments = [
            "tail",
            "--from-beginning",
            "--limit",
            "1",
            "--json",
            "--topic",
            "payment-events",
            "--url",
            &url,
        ];
        kbnt(&arguments).output().unwrap()
    });
    let event: Value = serde_json::from_slice(&only.await.unwrap().stdout).unwrap();
    assert_eq!(
        (&event["topic"], &event["value"]["eventName"]),
        (&json!("payment-events"), &json!("PaymentProcessedEvent"))
    );
}

#[tokio::test]
async fn tail_begins_anew_where_the_log_is_another_one() {
    let port = free_port();
    let shop = Running::start_at(port, &["serve", "--allow-unknown-users"]);
    shop.until_ready().await;
    shop.declare(1).await;
    let url = shop.url.clone();
    let topics = ["tail", "--from-beginning", "--limit", "2", "--topic", "user-events", "--url", &url];
    assert_eq!(shop.post("/v1/orders?wait=20s", &basket("USER-1", "tok_ok")).await.0, 200);
    let mut tail = kbnt(&topics);
    let mut tail =
        tail.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let first = tokio::task::spawn_blocking(move || (lines.next().unwrap().unwrap(), lines)).await.unwrap();
    assert!(first.0.contains("UserValidatedEvent"), "{}", first.0);
    drop(shop);
    let other = Running::start_at(port, &["serve", "--allow-unknown-users"]);
    other.until_ready().await;
    other.declare(1).await;
    assert_eq!(other.post("/v1/orders?wait=20s", &basket("USER-2", "tok_ok")).await.0, 200);
    let ended = tokio::task::spawn_blocking(move || {
        let rest: Vec<_> = first.1.map(Result::unwrap).collect();
        (rest.join("\n"), tail.wait_with_output().unwrap())
    });
    let (rest, output) = tokio::time::timeout(Duration::from_mins(1), ended).await.expect("never").unwrap();
    let all_output = format!("{rest}{}", String::from_utf8_lossy(&output.stderr));
    assert!(all_output.contains("another one"), "{all_output}");
    assert!(rest.contains("UserValidatedEvent") && output.status.success(), "{all_output}");
}
