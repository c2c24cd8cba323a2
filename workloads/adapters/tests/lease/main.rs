//! Leadership by a lease, on a real API server.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod server;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kbnt_adapters::lease::{KubernetesLease, LeaseConfig};
use kbnt_application::ports::{Active, Leadership};
use kube::{Api, Client};
use tokio::runtime::Runtime;
use tokio::time::{Instant, timeout};

use server::Server;

/// A lease that its holder does not renew ends after 5 s; this leaves the successor 2 s.
const SUCCESSION: Duration = Duration::from_secs(7);

/// A release is noticed at once; this is what a busy machine needs, and less than the end of the lease would
/// take.
const HANDOVER: Duration = Duration::from_secs(2);

async fn claim(client: &Client, name: &str, instance: &str, port: u16) -> KubernetesLease {
    let address = ([127, 0, 0, 1], port).into();
    let (namespace, name, instance) = ("default".to_owned(), name.to_owned(), instance.to_owned());
    let owner = Some(OwnerReference {
        api_version: "kbnt.dev/v1alpha1".into(),
        kind: "VirtualStock".into(),
        name: "main".into(),
        uid: "u1".into(),
        ..OwnerReference::default()
    });
    let config = LeaseConfig { namespace, name, owner, instance, address };
    KubernetesLease::find_by(client.clone(), config).await.unwrap()
}

#[tokio::test]
async fn one_leads_until_it_ends_or_is_not_heard_of() {
    let server = Server::start();
    let client = server.client().await;

    let first = claim(&client, "stock", "first", 1).await;
    assert_eq!(first.address().await, None, "nobody leads yet");
    let made: Lease = Api::namespaced(client.clone(), "default").get("stock").await.unwrap();
    assert_eq!(made.metadata.owner_references.unwrap()[0].name, "main", "it goes with its owner");
    first.acquired().await.unwrap();
    let second = claim(&client, "stock", "second", 2).await;
    assert_eq!(second.address().await, Some(([127, 0, 0, 1], 1).into()), "it leads to the leader");
    let early = timeout(Duration::from_secs(6), second.acquired()).await;
    assert!(early.is_err(), "a lease that is renewed does not end");

    let released = Instant::now();
    first.release().await;
    timeout(HANDOVER, second.acquired()).await.expect("nobody leads").unwrap();
    println!("takeover {:?} after the release", released.elapsed());
    assert_eq!(second.address().await, None, "no other one is at work");
    assert!(first.acquired().await.is_err(), "it has given up its claim");
    second.release().await;
}

#[test]
fn a_leader_that_dies_is_succeeded_when_its_lease_ends() {
    let server = Server::start();
    let (doomed, living) = (Runtime::new().unwrap(), Runtime::new().unwrap());
    let first = doomed.block_on(async {
        let client = server.client().await;
        let first = claim(&client, "stock", "first", 1).await;
        first.acquired().await.unwrap();
        first
    });
    living.block_on(async {
        let second = claim(&server.client().await, "stock", "second", 2).await;
        let early = timeout(Duration::from_secs(1), second.acquired()).await;
        assert!(early.is_err(), "the first one leads");
        // All of its tasks end between two instructions, as after kill -9.
        doomed.shutdown_background();
        let gone = Instant::now();
        timeout(SUCCESSION, second.acquired()).await.expect("nobody leads").unwrap();
        println!("takeover {:?} after the last sign of life", gone.elapsed());
        let third = claim(&server.client().await, "stock", "third", 3).await;
        assert_eq!(third.address().await, Some(([127, 0, 0, 1], 2).into()));
        second.release().await;
    });
    drop(first);
}
