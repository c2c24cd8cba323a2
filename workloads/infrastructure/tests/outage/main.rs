//! A broker that dies, hangs and comes late: the services wait, lose nothing and need no restart. Starts a broker of its
//! own by `e2e/kafka/broker.sh`.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use kbnt_application::Topic;
use kbnt_application::message::Subject;
use kbnt_application::ports::EventLog as _;
use kbnt_domain::{EventId, OrderId};
use kbnt_infrastructure::kafka::KafkaLog;
use support::cluster::Cluster;
use support::machines::{Echo, Solo};
use support::outside::Running;
use support::{contents, created, eventually, placed};

/// A broker in a directory of its own; gone with it.
struct Broker(tempfile::TempDir);

impl Broker {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn script(command: &str, directory: &Path) -> String {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../e2e/kafka/broker.sh");
        let output = Command::new(script).arg(command).arg(directory).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts it; its address.
    fn start(&self) -> String {
        Self::script("start", self.0.path())
    }

    fn kill(&self) {
        Self::script("kill", self.0.path());
    }

    fn signal(&self, signal: &str) {
        let pid = Self::script("pid", self.0.path());
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Writes inputs for both machines until it is told to stop; how many of each.
async fn load(log: KafkaLog, stop: Arc<AtomicBool>, written: Arc<AtomicU32>) {
    while !stop.load(Ordering::SeqCst) {
        let n = written.load(Ordering::SeqCst);
        let batch = (n..n + 10).flat_map(|n| [created(n), placed(n)]).collect();
        if log.append(batch).await.is_ok() {
            written.store(n + 10, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Which events there are about each order.
async fn answers(log: &KafkaLog, topic: Topic) -> BTreeMap<OrderId, BTreeSet<EventId>> {
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    for record in contents(log, topic).await.into_values().flatten() {
        if let Subject::Order(order) = Subject::of(&record.message.event) {
            all.entry(order).or_default().insert(record.message.id);
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn outages_of_every_kind_cost_nothing_but_time() {
    let broker = Broker::new();
    let cluster = Cluster::at(broker.start(), "outage");
    cluster.create(&Topic::ALL).await;
    let log = cluster.log();
    let member = Running::start(Echo::default(), Arc::new(cluster.log()));
    let writer = Running::start(Solo::new("a"), Arc::new(cluster.log()));
    member.ready().await;
    writer.ready().await;
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let loading = tokio::spawn(load(log.clone(), Arc::clone(&stop), Arc::clone(&written)));
    let progress = |more: u32| {
        let (written, goal) = (Arc::clone(&written), written.load(Ordering::SeqCst) + more);
        async move { eventually("the load goes on", || async { written.load(Ordering::SeqCst) >= goal }).await }
    };
    progress(100).await;

    broker.kill();
    eventually("both are unready", || async { !member.handle.is_ready() && !writer.handle.is_ready() }).await;
    broker.start();
    progress(100).await;

    broker.signal("-STOP");
    eventually("both are unready", || async { !member.handle.is_ready() && !writer.handle.is_ready() }).await;
    broker.signal("-CONT");
    progress(100).await;

    broker.kill();
    let late = Running::start(Echo::default(), Arc::new(cluster.log()));
    broker.start();
    late.ready().await;
    progress(100).await;

    stop.store(true, Ordering::SeqCst);
    loading.await.unwrap();
    let count = usize::try_from(written.load(Ordering::SeqCst)).unwrap();
    for topic in [Topic::NotificationEvents, Topic::InventoryEvents] {
        eventually("all are answered", || async { answers(&log, topic).await.len() >= count }).await;
        assert!(
            answers(&log, topic).await.values().all(|ids| ids.len() == 1),
            "one answer, however often written"
        );
    }
    for running in [member, late] {
        running.stop().await.unwrap();
    }
    writer.stop().await.unwrap();
}
