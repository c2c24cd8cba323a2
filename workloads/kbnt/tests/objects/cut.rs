//! A log is cut below the checkpoints of its services, and they go on: with their disks, with empty ones, and not without checkpoints.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Instant;

use kbnt_adapters::checkpoints::Checkpoints;
use kbnt_adapters::objects::Place;
use kbnt_application::event::Writer;
use kbnt_application::message::Classification;
use kbnt_application::ports::{EventLog as _, Mark};
use kbnt_application::{Append, Route, Service, Topic};
use kbnt_domain::event::{Level, LowStock};
use kbnt_testkit::{append, contents};
use serde_json::{Value, json};

use crate::checkpoints::orders_of;
use crate::program::{DEADLINE, Running, basket, kbnt};
use crate::support::cluster::Cluster;

const SERVICES: [&str; 6] = ["order", "user", "inventory", "payment", "notification", "audit"];

/// The partition that becomes so long that nobody looks back to its beginning.
const LONG: u32 = 0;

/// How many records it gets: somewhat more than are kept for the read models.
const FILLER: u64 = 331_000;

/// Records of one append.
const BATCH: u64 = 5_000;

/// Where the services of a shop lie.
struct Shop<'a> {
    cluster: &'a Cluster,
    /// What outlives their disks.
    place: &'a str,
}

impl Shop<'_> {
    fn on(&self) -> [&str; 4] {
        let config = &self.cluster.config;
        ["--bootstrap-servers", &config.bootstrap_servers, "--topic-prefix", &config.prefix]
    }

    fn start(&self, service: &str, disk: &Path) -> Running {
        let folder = |name: &str| disk.join(service).join(name).to_str().unwrap().to_owned();
        let (snapshots, state, history) = (folder("snapshots"), folder("state"), folder("history"));
        let mut arguments = vec!["service", service];
        arguments.extend(self.on());
        if ["inventory", "user", "audit"].contains(&service) {
            arguments.extend(["--snapshot-dir", &snapshots, "--snapshot-interval", "1s"]);
        }
        if service == "order" {
            arguments.extend(["--history-dir", &history]);
        }
        if !["payment", "notification"].contains(&service) {
            arguments.extend(["--checkpoint-to", self.place, "--checkpoint-interval", "1s"]);
        }
        if service == "payment" {
            arguments.extend(["--payment-simulated", "--payment-test-tokens"]);
        }
        if service == "inventory" {
            arguments.extend(["--state-dir", &state]);
        }
        Running::start(&arguments)
    }

    async fn open(&self, disk: &Path) -> [Running; 6] {
        let all = SERVICES.map(|service| self.start(service, disk));
        for running in &all {
            running.until_ready().await;
        }
        all
    }

    /// Runs the program on this log.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = kbnt(arguments);
        command.args(self.on());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn cut(&self, place: &str, more: &[&str]) -> Output {
        let cut = ["log", "cut", "--keep", "0s", "--json", "--checkpoints", place];
        self.run(&[&cut, more].concat()).await
    }
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

/// An order is confirmed.
async fn sell(all: &[Running; 6]) {
    let (status, order) = all[0].post("/v1/orders?wait=30s", &basket("ana", "tok_ok")).await;
    assert_eq!((status, &order["status"]), (200, &json!("CONFIRMED")), "{order}");
}

fn close(all: [Running; 6]) {
    for mut running in all {
        running.signal("KILL");
        running.ended();
    }
}

/// What the writer that is elected could have written: it changes no stock.
fn filler(n: u64, writer: &Arc<Writer>) -> Append {
    let event = LowStock { product: "PROD-001".parse().unwrap(), threshold: 1, level: Level::default() };
    let mut append = append(&format!("filler/{n}"), event);
    append.route = Route::Partition(LONG);
    Arc::make_mut(&mut append.message).writer = Some(Arc::clone(writer));
    append
}

/// The writer says nothing for long but what nobody needs to know.
async fn fill(cluster: &Cluster) {
    let log = cluster.log();
    let records = contents(&log, Topic::InventoryEvents).await.remove(&LONG).unwrap();
    let writer = records.last().unwrap().message.writer.clone().unwrap();
    for from in (0..FILLER).step_by(usize::try_from(BATCH).unwrap()) {
        log.append((from..FILLER.min(from + BATCH)).map(|n| filler(n, &writer)).collect()).await.unwrap();
    }
}

/// An order is undone: each service has something new then, and keeps another checkpoint.
async fn undo(all: &[Running; 6]) {
    let (status, order) = all[0].post("/v1/orders?wait=30s", &basket("ana", "tok_decline")).await;
    assert_eq!((status, &order["status"]), (200, &json!("CANCELLED")), "{order}");
}

/// Waits until a checkpoint has seen a record of the long partition that is not its first: there it may be cut.
async fn seen(place: &str, all: &[Running; 6]) {
    let checkpoints = Checkpoints::new(Place::create(Path::new(place)).unwrap(), Service::Inventory);
    let give_up = Instant::now() + DEADLINE;
    loop {
        let newest = checkpoints.newest(0).await.unwrap();
        let here = |mark: Mark| mark.at.partition == LONG && mark.at.offset > 0;
        if newest.is_some_and(|newest| newest.counting().any(here)) {
            return;
        }
        assert!(Instant::now() < give_up, "no checkpoint of inventory-service");
        undo(all).await;
    }
}

/// Cuts until there was something to cut; where the long partition begins then.
async fn cut(shop: &Shop<'_>, all: &[Running; 6]) -> u64 {
    let give_up = Instant::now() + 2 * DEADLINE;
    loop {
        let would = json_of(&shop.cut(shop.place, &["--dry-run"]).await);
        if would["records"].as_u64().unwrap() > 0 {
            break;
        }
        assert!(Instant::now() < give_up, "nothing can be cut: {would}");
        undo(all).await;
    }
    let first = async || shop.cluster.log().bounds(Topic::InventoryEvents, LONG).await.unwrap().first;
    assert_eq!(first().await, 0, "it was only asked");
    let done = json_of(&shop.cut(shop.place, &[]).await);
    let mut cut = done["partitions"].as_array().unwrap().iter().filter(|cut| cut["records"] != 0);
    let (only, more) = (cut.next().unwrap(), cut.next());
    assert_eq!((&only["topic"], &only["partition"], more), (&json!("inventory-events"), &json!(LONG), None));
    assert_eq!(first().await, only["to"].as_u64().unwrap());
    first().await
}

/// A service does not go on, as the long partition begins there.
async fn is_stopped(stopped: &Running, first: u64) {
    let give_up = Instant::now() + DEADLINE;
    loop {
        let damage = stopped.get("/v1/log").await.1["damage"][0].clone();
        if damage["kind"] == "cut" {
            assert_eq!((&damage["wanted"], &damage["found"]), (&json!(0), &json!(first)), "{damage}");
            return;
        }
        assert!(Instant::now() < give_up, "it goes on without its beginning");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn services_go_on_with_a_log_that_is_cut_below_their_checkpoints() {
    let cluster = Cluster::with_topics("cut").await;
    let (directory, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (place, elsewhere, disk) = (path("checkpoints"), path("elsewhere"), directory.path().join("disk"));
    let shop = Shop { cluster: &cluster, place: &place };
    let all = shop.open(&disk).await;
    let ana = json!({"userId": "ana", "name": "Ana", "email": "ana@example.com"});
    assert_eq!(all[1].post("/v1/users", &ana).await.0, 201);
    all[2].declare(100).await;
    sell(&all).await;
    std::fs::create_dir(&elsewhere).unwrap();
    let refused = shop.cut(&elsewhere, &[]).await;
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(why.contains("inventory-service has no checkpoint of this log there: nothing is cut"), "{why}");
    assert!(why.contains("order-service has no"), "{why}");
    let waived = shop.cut(&elsewhere, &["--without-history"]).await;
    let why = String::from_utf8_lossy(&waived.stderr).into_owned();
    assert!(waived.status.code() == Some(3) && !why.contains("order-service has no"), "{why}");
    seen(&place, &all).await;
    close(all);

    fill(&cluster).await;
    let all = shop.open(&disk).await;
    sell(&all).await;
    let first = cut(&shop, &all).await;
    assert!(first < 100, "up to where its writer was when a checkpoint was kept before: {first}");
    sell(&all).await;
    assert_eq!(shop.run(&["log", "verify"]).await.status.code(), Some(3), "who knows nothing of checkpoints");
    for verify in ["log", "audit"] {
        let verified = shop.run(&[verify, "verify", "--checkpoints", &place]).await;
        assert!(verified.status.success(), "{verify}: {verified:?}");
    }
    close(all);

    let all = shop.open(&disk).await;
    sell(&all).await;
    close(all);
    let all = shop.open(empty.path()).await;
    sell(&all).await;
    let stock = all[2].get("/v1/stock/PROD-001").await.1;
    assert_eq!((&stock["real"], &stock["reserved"]), (&json!(95), &json!(0)), "five of a hundred are sold");
    let page = orders_of(&all[0], "ana").await;
    let confirmed = page["items"].as_array().unwrap().iter().filter(|order| order["status"] == "CONFIRMED");
    assert_eq!(confirmed.count(), 5, "also those whose records are cut: {page}");
    close(all);

    let (other, nothing) = (Shop { place: &elsewhere, ..shop }, tempfile::tempdir().unwrap());
    is_stopped(&other.start("inventory", nothing.path()), first).await;

    // The group has forgotten where it was, as after a week without a member, until somebody says where it goes on.
    cluster.forget_group(Service::Payment).await;
    let mut stopped = shop.start("payment", &disk);
    is_stopped(&stopped, first).await;
    stopped.signal("TERM");
    stopped.ended();
    cluster.rewind_group(Service::Payment, Topic::InventoryEvents).await;
    let all = shop.open(empty.path()).await;
    sell(&all).await;
    let paid = contents(&cluster.log(), Topic::PaymentEvents).await.into_values().flatten();
    let names = paid.map(|record| Classification::of(&record.message.event).name);
    let charged = names.filter(|name| *name != "PaymentFailedEvent").collect::<Vec<_>>();
    assert_eq!(charged, ["PaymentProcessedEvent"; 6], "each order was charged once");
}
