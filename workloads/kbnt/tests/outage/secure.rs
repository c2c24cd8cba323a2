//! Authenticated listeners, and keys that change.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use kbnt_application::Topic;
use kbnt_application::ports::EventLog as _;
use kbnt_kafka::{ClientCertificate, KafkaLog, Mechanism, Protocol, Sasl, Security};

use crate::broker::Broker;
use crate::support::cluster::Cluster;
use crate::support::outside::Running;
use kbnt_testkit::machines::Echo;
use kbnt_testkit::{created, eventually, orders_in};

const ANSWERS: Topic = Topic::NotificationEvents;

/// The topics of `test`, made through the open listener, and clients that use the listener `name`.
async fn behind(broker: &Broker, open: String, name: &str, security: Security) -> Cluster {
    let mut cluster = Cluster::at(open, name);
    cluster.create(&Topic::ALL).await;
    let address = fs::read_to_string(broker.file(name)).unwrap();
    cluster.config.bootstrap_servers = address.trim().into();
    cluster.config.security = security;
    cluster
}

/// Writes these records, and waits until a member has answered all up to `until`. If the client of the writer
/// is replaced in between, the append fails and is repeated.
async fn orders(log: &KafkaLog, from: u32, until: u32) {
    let records = || (from..until).map(created).collect();
    eventually("all are written", || async { log.append(records()).await.is_ok() }).await;
    let count = usize::try_from(until).unwrap();
    eventually("all are answered", || async { orders_in(log, ANSWERS).await.len() == count }).await;
}

/// Replaces a file atomically, as a mounted Secret changes.
fn put(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn a_password_changes_while_the_services_work() {
    let (broker, keys) = (Broker::new(), tempfile::tempdir().unwrap());
    let open = broker.start_secure();
    broker.scram("kbnt", "first");
    let password = keys.path().join("password");
    put(&password, b"wrong\n");
    fs::copy(broker.file("tls/ca.crt"), keys.path().join("ca.crt")).unwrap();
    let sasl =
        Sasl { mechanism: Mechanism::ScramSha512, username: "kbnt".into(), password_file: password.clone() };
    let security = Security {
        protocol: Protocol::SaslSsl,
        ca: Some(keys.path().to_owned()),
        certificate: None,
        sasl: Some(sasl),
    };
    let cluster = behind(&broker, open, "scram", security).await;

    let log = cluster.log();
    assert!(log.bounds(Topic::OrderEvents, 0).await.is_err(), "with a wrong password nobody is let in");
    put(&password, b"first\n");
    eventually("the right one is found", || async { log.bounds(Topic::OrderEvents, 0).await.is_ok() }).await;
    let member = Running::start(Echo::default(), Arc::new(cluster.log()));
    orders(&log, 0, 100).await;

    let before = log.renewed_clients();
    broker.scram("kbnt", "second");
    log.append((100..200).map(created).collect()).await.unwrap();
    assert_eq!(log.renewed_clients(), before, "who is inside stays inside");
    put(&password, b"second\n");
    eventually("new clients", || async { log.renewed_clients() >= before + 3 }).await;
    broker.kill();
    broker.start();
    orders(&log, 200, 300).await;
    assert!(orders_in(&log, ANSWERS).await.values().all(|count| *count == 1));
    member.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a Kafka broker"]
async fn a_certificate_changes_while_the_services_work() {
    let (broker, keys) = (Broker::new(), tempfile::tempdir().unwrap());
    let open = broker.start_secure();
    let key = |name: &str| keys.path().join(name);
    for name in ["user.crt", "user.key"] {
        fs::copy(broker.file(&format!("tls/{name}")), key(name)).unwrap();
    }
    let security = Security {
        protocol: Protocol::Ssl,
        ca: Some(broker.file("tls/ca.crt")),
        certificate: Some(ClientCertificate { chain: key("user.crt"), key: key("user.key") }),
        sasl: None,
    };
    let stranger = Security { certificate: None, ..security.clone() };
    let mut cluster = behind(&broker, open, "mtls", security).await;
    let log = cluster.log();
    let member = Running::start(Echo::default(), Arc::new(cluster.log()));
    orders(&log, 0, 100).await;

    cluster.config.security = stranger;
    assert!(
        cluster.log().bounds(Topic::OrderEvents, 0).await.is_err(),
        "without a certificate nobody is let in"
    );

    // Not a complete certificate: the old clients stay in use.
    put(&key("user.crt"), b"-----BEGIN CERTIFICATE-----\n");
    orders(&log, 100, 200).await;
    assert_eq!(log.renewed_clients(), 0);
    let chain = [
        fs::read(broker.file("tls/user.crt")).unwrap(),
        fs::read(broker.file("tls/clients-ca.crt")).unwrap(),
    ];
    put(&key("user.crt"), &chain.concat());
    eventually("new clients", || async { log.renewed_clients() >= 3 }).await;
    orders(&log, 200, 300).await;
    assert!(orders_in(&log, ANSWERS).await.values().all(|count| *count == 1));
    member.stop().await.unwrap();
}
