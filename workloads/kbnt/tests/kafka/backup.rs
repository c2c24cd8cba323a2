//! `kbnt backup` and `kbnt restore` on a broker.

use std::path::Path;
use std::process::{Command, Output};

use kbnt_application::ports::EventLog as _;
use kbnt_application::{Append, Topic};
use kbnt_testkit::{contents, created, end};
use rdkafka::Offset;

use crate::support::cluster::Cluster;

async fn kbnt(cluster: &Cluster, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbnt"));
    command.args(arguments).env_clear();
    command.args(["--bootstrap-servers", &cluster.config.bootstrap_servers]);
    command.args(["--topic-prefix", &cluster.config.prefix]);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Takes a backup, and brings it back under another prefix.
async fn moved(cluster: &Cluster, directory: &Path) -> Cluster {
    let directory = directory.to_str().unwrap();
    let taken = kbnt(cluster, &["backup", "--to", directory]).await;
    assert!(taken.status.success(), "{taken:?}");
    let other = Cluster::with_topics("restored").await;
    let restored = kbnt(&other, &["restore", "--from", directory]).await;
    assert!(restored.status.success(), "{restored:?}");
    other
}

/// A copy of an order's confirmation as a record of notification-events.
fn noticed(n: u32) -> Append {
    let (order, user) = (kbnt_testkit::order(n), "USER-1".parse().unwrap());
    let sent = kbnt_domain::event::NotificationSent {
        order,
        user,
        channel: "log".into(),
        template: "confirmed".into(),
    };
    kbnt_testkit::append(&format!("noticed/{n}"), sent)
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_log_is_moved_with_the_offsets_and_the_bytes_that_it_had() {
    let (cluster, directory) = (Cluster::with_topics("backup").await, tempfile::tempdir().unwrap());
    let log = cluster.log();
    log.append((0..300).map(created).chain((0..90).map(noticed)).collect()).await.unwrap();
    // Notifications expire; the event stores do not.
    cluster.cut(Topic::NotificationEvents, |_| Offset::Offset(7)).await;
    let other = moved(&cluster, directory.path()).await;
    let (there, bytes) = (other.log(), cluster.log().with_bytes());
    for topic in Topic::EVENTS {
        let (before, after) =
            (contents(bytes.as_ref(), topic).await, contents(there.with_bytes().as_ref(), topic).await);
        let hashes = |records: &[kbnt_application::Delivered]| -> Vec<_> {
            records.iter().map(|record| (record.at, record.raw.as_ref().unwrap().hash())).collect()
        };
        for (partition, records) in before {
            assert_eq!(hashes(&after[&partition]), hashes(&records), "{topic:?}/{partition}");
        }
    }
    let first = there.bounds(Topic::NotificationEvents, 0).await.unwrap().first;
    assert_eq!(first, 7, "it begins where the other one did");
    let verified = kbnt(&other, &["log", "verify"]).await;
    assert!(verified.status.success(), "{verified:?}");

    log.append(vec![created(1_000)]).await.unwrap();
    let again = kbnt(&cluster, &["backup", "--to", directory.path().to_str().unwrap()]).await;
    assert!(String::from_utf8_lossy(&again.stdout).starts_with("1 records more"), "{again:?}");
    let more = kbnt(&other, &["restore", "--from", directory.path().to_str().unwrap()]).await;
    assert!(String::from_utf8_lossy(&more.stdout).starts_with("1 records are written"), "{more:?}");
    let whole: u64 = {
        let mut sum = 0;
        for partition in 0..3 {
            sum += end(&there, Topic::OrderEvents, partition).await;
        }
        sum
    };
    assert_eq!(whole, 301);
}

#[tokio::test]
#[ignore = "needs KBNT_TEST_BOOTSTRAP"]
async fn a_backup_is_not_taken_of_topics_that_were_made_anew() {
    let (cluster, directory) = (Cluster::with_topics("backup-anew").await, tempfile::tempdir().unwrap());
    cluster.log().append((0..50).map(created).collect()).await.unwrap();
    let arguments = ["backup", "--to", directory.path().to_str().unwrap()];
    assert!(kbnt(&cluster, &arguments).await.status.success());
    cluster.replace(Topic::OrderEvents).await;
    let refused = kbnt(&cluster, &arguments).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("order-events is another topic"), "{said}");
}
