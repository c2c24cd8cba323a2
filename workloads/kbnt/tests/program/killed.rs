//! The program is killed at any moment under the load of a thousand buyers, twenty times: everything that was
//! acknowledged survives, and the books balance.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Running, basket, kbnt};

/// Number of kills.
const KILLS: u64 = 20;

/// Concurrent buyers.
const BUYERS: usize = 1_000;

/// Concurrent requests while the acknowledged orders are checked.
const QUESTIONS: usize = 32;

/// Orders that the shop has acknowledged, with their end if it reported one.
type Acknowledged = Arc<Mutex<HashMap<String, Option<String>>>>;

/// Places orders until the shop is gone.
async fn buy(client: reqwest::Client, url: String, buyer: usize, round: u64, acknowledged: Acknowledged) {
    for number in 0.. {
        let token = ["tok_ok", "tok_decline", "tok_unknown_outcome"][number % 3];
        // Some wait for the end, some do not.
        let path = if number % 2 == 0 { "/v1/orders?wait=20s" } else { "/v1/orders" };
        let key = format!("k-{round}-{buyer}-{number}");
        let request = client.post(format!("{url}{path}")).header("idempotency-key", key);
        let Ok(response) = request.json(&basket(&format!("USER-{buyer}"), token)).send().await else {
            return;
        };
        let status = response.status().as_u16();
        let Ok(body) = response.json::<Value>().await else { return };
        match status {
            200 | 202 => {
                let ended =
                    Some(body["status"].as_str().unwrap().to_owned()).filter(|status| status != "PENDING");
                acknowledged.lock().unwrap().insert(body["orderId"].as_str().unwrap().to_owned(), ended);
            }
            // It was shutting down.
            503 => return,
            _ => panic!("{status} {body}"),
        }
    }
}

/// Checks that each of these orders exists, and ended as reported.
async fn check(shop: &Running, acknowledged: &HashMap<String, Option<String>>) {
    let questions = acknowledged.iter().map(|(order, ended)| async move {
        let (status, body) = shop.get(&format!("/v1/orders/{order}")).await;
        assert_eq!(status, 200, "order {order} was acknowledged");
        if let Some(ended) = ended {
            assert_eq!(body["status"], *ended, "order {order}");
        }
    });
    futures::stream::iter(questions).for_each_concurrent(QUESTIONS, |question| question).await;
    let (_, summary) = shop.get("/v1/stock/summary").await;
    assert_eq!(summary["invariants"], json!({"balanced": true, "violations": []}));
}

/// Checks that the history lists each order once, so many in all, and these among them as they ended.
async fn check_history(shop: &Running, acknowledged: &HashMap<String, Option<String>>, orders: u64) {
    let search = "/v1/orders?limit=200&from=2000-01-01T00:00:00Z&cursor=";
    let give_up = std::time::Instant::now() + DEADLINE;
    while shop.get(search).await.0 == 503 {
        assert!(std::time::Instant::now() < give_up, "the history is never built");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mut listed, mut cursor) = (HashMap::new(), String::new());
    loop {
        let (status, page) = shop.get(&format!("{search}{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        for order in page["items"].as_array().unwrap() {
            let id = order["orderId"].as_str().unwrap().to_owned();
            let before = listed.insert(id, order["status"].as_str().unwrap().to_owned());
            assert!(before.is_none(), "listed twice: {order}");
        }
        match page["nextCursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(listed.len() as u64, orders);
    for (order, ended) in acknowledged {
        let found = listed.get(order);
        assert!(found.is_some(), "order {order} was acknowledged");
        assert!(ended.is_none() || found == ended.as_ref(), "order {order}: {found:?}, not {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    let mut all = HashMap::new();
    let often = ["--snapshot-interval", "1s"];
    let serve = ["serve", "--allow-unknown-users", "--data-dir", &path];
    let start = || Running::start(&[&serve[..], &often].concat());
    let mut shop = start();
    shop.until_ready().await;
    shop.declare(1_000_000).await;
    for round in 0..KILLS {
        let acknowledged = Acknowledged::default();
        let buyers: Vec<_> = (0..BUYERS)
            .map(|buyer| {
                let (client, url) = (shop.client.clone(), shop.url.clone());
                tokio::spawn(buy(client, url, buyer, round, Arc::clone(&acknowledged)))
            })
            .collect();
        // A different moment each time: after this many responses, and a bit.
        let give_up = std::time::Instant::now() + DEADLINE;
        while acknowledged.lock().unwrap().len() < usize::try_from(round * 61 % 700).unwrap() {
            assert!(std::time::Instant::now() < give_up, "the shop does not answer");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(round * 37 % 100)).await;
        shop.signal("KILL");
        shop.ended();
        for buyer in buyers {
            buyer.await.unwrap();
        }
        shop = start();
        shop.until_ready().await;
        let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
        check(&shop, &acknowledged).await;
        all.extend(acknowledged);
    }
    let give_up = std::time::Instant::now() + DEADLINE;
    while shop.get("/v1/orders/summary").await.1["pending"] != 0 {
        assert!(
            std::time::Instant::now() < give_up,
            "orders stay pending: {:?}",
            shop.get("/v1/orders/summary").await
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    check(&shop, &all).await;
    let (_, counts) = shop.get("/v1/orders/summary").await;
    let (_, summary) = shop.get("/v1/stock/summary").await;
    let confirmed = counts["confirmed"].as_u64().unwrap();
    assert!(all.len() > 2_000 && confirmed > 0, "there was load: {} acknowledged, {counts}", all.len());
    assert_eq!(summary["totals"]["real"], 1_000_000 - confirmed, "each confirmed order took one unit");
    assert_eq!(summary["totals"]["reserved"], 0);
    let ended: u64 =
        ["confirmed", "rejected", "cancelled"].map(|status| counts[status].as_u64().unwrap()).iter().sum();
    check_history(&shop, &all, ended).await;
    let refused = directory.path().join("history-refused.sqlite");
    assert!(!refused.exists(), "a kill is no reason to build the history anew");
    // On a busy machine the trail lags for a while, without loss.
    let verify = |arguments: &[&str]| {
        let output = kbnt(&["audit", "verify"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    verify(&["--url", &shop.url, "--wait", "90s"]);
    shop.signal("TERM");
    shop.ended();
    verify(&["--data-dir", &path]);
}
