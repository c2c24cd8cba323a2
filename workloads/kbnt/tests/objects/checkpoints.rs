//! Services whose disks are lost begin with their checkpoints in a bucket.

use std::path::Path;
use std::time::Instant;

use kbnt_adapters::checkpoints::Checkpoints;
use kbnt_application::Service;
use serde_json::json;

use crate::program::{DEADLINE, Running, basket};
use crate::store::{BUCKET, Store};
use crate::succeeds;
use crate::support::cluster::Cluster;

const PREFIX: &str = "state";

/// A service with an empty disk, and checkpoints as often as can be.
fn start(service: &str, cluster: &Cluster, store: &Store, disk: &Path) -> Running {
    let folder = |name: &str| disk.join(service).join(name).to_str().unwrap().to_owned();
    let (snapshots, state, place) = (folder("snapshots"), folder("state"), format!("s3://{BUCKET}/{PREFIX}"));
    let history = folder("history");
    let mut arguments = vec!["service", service, "--bootstrap-servers", &cluster.config.bootstrap_servers];
    arguments.extend(["--topic-prefix", &cluster.config.prefix, "--snapshot-interval", "1s"]);
    arguments.extend(["--checkpoint-to", &place, "--checkpoint-interval", "1s"]);
    match service {
        "order" => arguments.extend(["--history-dir", &history]),
        "inventory" => arguments.extend(["--snapshot-dir", &snapshots, "--state-dir", &state]),
        _ => arguments.extend(["--snapshot-dir", &snapshots]),
    }
    let variables = store.variables();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Running::start_with(&arguments, &variables)
}

async fn metric(running: &Running, name: &str) -> u64 {
    let metrics = running.client.get(format!("{}/metrics", running.url)).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0, |count| count.trim().parse().unwrap())
}

/// Waits for a checkpoint that was taken after this.
async fn kept_after(store: &Store, service: Service, since: i64) {
    let checkpoints = Checkpoints::new(store.place(PREFIX), service);
    let give_up = Instant::now() + DEADLINE;
    loop {
        let newest = checkpoints.newest(0).await.unwrap();
        if newest.is_some_and(|newest| newest.taken().as_millis() > since) {
            return;
        }
        assert!(Instant::now() < give_up, "no checkpoint of {}", service.name());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test]
#[ignore = "starts an object store, and needs KBNT_TEST_BOOTSTRAP"]
async fn services_whose_disks_are_lost_begin_with_their_checkpoints() {
    let (store, cluster) = (Store::start(), Cluster::with_topics("checkpoints").await);
    let services = [("inventory", Service::Inventory), ("user", Service::User), ("audit", Service::Audit)];
    let disk = tempfile::tempdir().unwrap();
    let start_all = |disk: &Path| services.map(|(service, _)| start(service, &cluster, &store, disk));
    let mut first = start_all(disk.path());
    for running in &first {
        running.until_ready().await;
    }
    let [inventory, user, _] = &first;
    let ana = json!({"userId": "ana", "name": "Ana", "email": "ana@example.com"});
    assert_eq!(user.post("/v1/users", &ana).await.0, 201);
    inventory.declare(100).await;
    let since = now();
    // None is taken while nothing is written, and of what was written last one may have been.
    inventory.declare(101).await;
    let bob = json!({"userId": "bob", "name": "Bob", "email": "bob@example.com"});
    assert_eq!(user.post("/v1/users", &bob).await.0, 201);
    for (_, service) in services {
        kept_after(&store, service, since).await;
    }
    for running in &mut first {
        running.signal("KILL");
        running.ended();
    }

    let other = tempfile::tempdir().unwrap();
    let second = start_all(other.path());
    for (running, (name, service)) in second.iter().zip(services) {
        running.until_ready().await;
        let of = |metric: &str, outcome: &str| {
            format!("kbnt_{metric}_total{{outcome=\"{outcome}\",service=\"{}\"}}", service.name())
        };
        assert_eq!(metric(running, &of("checkpoints", "fetched")).await, 1, "{name}");
        assert_eq!(metric(running, &of("snapshots", "restored")).await, 1, "{name}");
    }
    let [inventory, user, _] = &second;
    assert_eq!(inventory.get("/v1/stock/PROD-001").await.1["real"], 101);
    for id in ["ana", "bob"] {
        assert_eq!(user.get(&format!("/v1/users/{id}")).await.0, 200, "{id}");
    }
    let on =
        ["--bootstrap-servers", &cluster.config.bootstrap_servers, "--topic-prefix", &cluster.config.prefix];
    succeeds(&store, &[&["audit", "verify", "--wait", "30s"], &on[..]].concat()).await;
}

/// The page of orders of a user from the history, once it is up to date.
pub(crate) async fn orders_of(running: &Running, user: &str) -> serde_json::Value {
    let give_up = Instant::now() + DEADLINE;
    loop {
        let (status, page) = running.get(&format!("/v1/orders?user={user}&limit=200")).await;
        if status == 200 {
            return page;
        }
        assert!(status == 503 && Instant::now() < give_up, "{status} {page}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "starts an object store, and needs KBNT_TEST_BOOTSTRAP"]
async fn order_service_begins_with_its_history_after_its_volume_is_lost() {
    let (store, cluster) = (Store::start(), Cluster::with_topics("history").await);
    let disk = tempfile::tempdir().unwrap();
    let user = start("user", &cluster, &store, disk.path());
    let mut order = start("order", &cluster, &store, disk.path());
    user.until_ready().await;
    order.until_ready().await;
    // Nobody knows the user, so the order ends at once.
    let (status, old) = order.post("/v1/orders?wait=20s", &basket("USER-OLD", "tok_ok")).await;
    assert_eq!(status, 200, "{old}");
    let since = now();
    let checkpoints = Checkpoints::new(store.place(PREFIX), Service::Order);
    let give_up = Instant::now() + DEADLINE;
    while checkpoints.newest(0).await.unwrap().is_none_or(|newest| newest.taken().as_millis() <= since) {
        // One is kept when something was applied since the end of the log was reached.
        assert_eq!(order.post("/v1/orders?wait=20s", &basket("USER-NEW", "tok_ok")).await.0, 200);
        assert!(Instant::now() < give_up, "no checkpoint of the history");
    }
    order.signal("KILL");
    order.ended();
    std::fs::remove_dir_all(disk.path().join("order")).unwrap();

    let order = start("order", &cluster, &store, disk.path());
    order.until_ready().await;
    let page = orders_of(&order, "USER-OLD").await;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["items"][0]["orderId"]), (1, &old["orderId"]));
    let path = format!("/v1/orders/{}", old["orderId"].as_str().unwrap());
    assert_eq!(order.get(&path).await.1["status"], "REJECTED");
    let fetched = "kbnt_checkpoints_total{outcome=\"fetched\",service=\"order-service\"}";
    assert_eq!(metric(&order, fetched).await, 1);
    assert_eq!(metric(&order, "kbnt_history_rebuilds_total").await, 0);
}
