//! What `kbnt serve` keeps for the next start.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{DEADLINE, Running, basket};

fn start(directory: &Path) -> Running {
    let directory = directory.to_str().unwrap();
    let often = ["--snapshot-interval", "1s"];
    Running::start(&[&["serve", "--allow-unknown-users", "--data-dir", directory], &often[..]].concat())
}

/// Places so many orders, and waits until each has ended.
async fn sell(shop: &Running, orders: u32) {
    for n in 0..orders {
        let (status, order) = shop.post("/v1/orders?wait=30s", &basket(&format!("USER-{n}"), "tok_ok")).await;
        assert_eq!((status, &order["status"]), (200, &json!("CONFIRMED")), "{order}");
    }
}

async fn units(shop: &Running) -> (u64, u64) {
    let (_, stock) = shop.get("/v1/stock/PROD-001").await;
    (stock["real"].as_u64().unwrap(), stock["reserved"].as_u64().unwrap())
}

/// How many snapshots of a service had this outcome.
async fn snapshots(shop: &Running, service: &str, outcome: &str) -> u64 {
    let metrics =
        shop.client.get(format!("{}/metrics", shop.url)).send().await.unwrap().text().await.unwrap();
    let name = format!("kbnt_snapshots_total{{outcome=\"{outcome}\",service=\"{service}-service\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// The services that keep snapshots.
const KEEPERS: [&str; 3] = ["inventory", "user", "audit"];

async fn until_kept(shop: &Running) {
    let give_up = Instant::now() + DEADLINE;
    for service in KEEPERS {
        while snapshots(shop, service, "kept").await == 0 {
            assert!(Instant::now() < give_up, "no snapshot of {service} is kept");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn the_next_start_begins_with_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let mut shop = start(directory.path());
    shop.until_ready().await;
    shop.declare(100).await;
    sell(&shop, 5).await;
    until_kept(&shop).await;
    shop.signal("KILL");
    shop.ended();

    let mut shop = start(directory.path());
    shop.until_ready().await;
    for service in KEEPERS {
        assert_eq!(snapshots(&shop, service, "restored").await, 1, "{service}");
    }
    assert_eq!(units(&shop).await, (95, 0));
    sell(&shop, 1).await;
    until_kept(&shop).await;
    shop.signal("TERM");
    shop.ended();

    // The archive that the snapshots go with is another one.
    let state = directory.path().join("inventory");
    for entry in std::fs::read_dir(&state).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let mut shop = start(directory.path());
    shop.until_ready().await;
    assert_eq!(units(&shop).await, (94, 0));
    shop.signal("TERM");
    shop.ended();

    // Nothing can be kept there.
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "in the way").unwrap();
    let shop = start(directory.path());
    shop.until_ready().await;
    assert_eq!((snapshots(&shop, "inventory", "restored").await, units(&shop).await), (0, (94, 0)));
    sell(&shop, 1).await;
}
