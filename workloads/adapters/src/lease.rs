//! Leader election by a Kubernetes Lease, which also has the address of the leader.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use kube_lease_manager::{LeaseCreateMode, LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::sync::watch::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::outbound;
use kbnt_application::ports::{Active, Leadership};

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

/// Seconds after which a leader that has not renewed its lease loses it.
const DURATION: u64 = 5;
/// The lease is renewed this many seconds earlier.
const GRACE: u64 = 3;
/// How long the API server may take to return the leader, and the pause before the next try.
const ASK: Duration = Duration::from_secs(2);
/// How long the release may take. After `DURATION` the lease is free in any case.
const RELEASE: Duration = Duration::from_secs(3);

/// The lease, and the process that acquires it.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Its namespace.
    pub namespace: String,
    /// Its name. It is created if it does not exist.
    pub name: String,
    /// The owner reference of the lease, if it is created.
    pub owner: Option<OwnerReference>,
    /// The name of this process; no other one may have the same name at the same time.
    pub instance: String,
    /// The address at which this process answers.
    pub address: SocketAddr,
}

/// Why the lease cannot be acquired.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// The process does not run in a cluster, or its account is not mounted.
    #[error("no way to the API server: {0}")]
    Client(#[from] Box<kube::Error>),
    /// The lease cannot be read, or cannot be created.
    #[error("lease {name}: {error}")]
    Lease {
        /// Its name.
        name: String,
        /// The error.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What it takes to acquire a lease.
#[derive(Clone)]
struct Candidate {
    client: Client,
    namespace: String,
    name: String,
    instance: String,
    address: SocketAddr,
}

impl Candidate {
    /// A manager that has read the present state of the lease.
    async fn manager(&self) -> Result<LeaseManager, LeaseManagerError> {
        LeaseManagerBuilder::new(self.client.clone(), &self.name)
            .with_namespace(&self.namespace)
            .with_identity(format!("{}_{}", self.instance, self.address))
            .with_field_manager(format!("kbnt-{}", self.instance))
            .with_create_mode(LeaseCreateMode::UseExistent)
            .with_duration(DURATION)
            .with_grace(GRACE)
            .build()
            .await
    }
}

/// The progress of the claim.
enum Claim {
    /// Not started yet.
    Unasked(Box<LeaseManager>),
    /// Started; the lease is renewed while it is held.
    Asked { held: Receiver<bool>, task: JoinHandle<Result<LeaseManager, LeaseManagerError>> },
    /// Released.
    Over,
}

/// A process's claim to a lease. On drop, the lease is released in the background.
pub struct KubernetesLease {
    leases: Api<Lease>,
    candidate: Candidate,
    claim: Mutex<Claim>,
}

impl KubernetesLease {
    /// Finds the lease, with the account that is mounted into the pod.
    pub async fn find(config: LeaseConfig) -> Result<Self, LeaseError> {
        outbound::install_crypto();
        let client = Client::try_default().await.map_err(Box::new)?;
        Self::find_by(client, config).await
    }

    /// Finds the lease by `client`.
    pub async fn find_by(client: Client, config: LeaseConfig) -> Result<Self, LeaseError> {
        let LeaseConfig { namespace, name, owner, instance, address } = config;
        let leases = Api::namespaced(client.clone(), &namespace);
        let failed = |error| LeaseError::Lease { name: name.clone(), error };
        make(&leases, &name, owner).await.map_err(|error| failed(error.into()))?;
        let candidate = Candidate { client, namespace, name: name.clone(), instance, address };
        let manager = candidate.manager().await.map_err(|error| failed(error.into()))?;
        Ok(Self { leases, candidate, claim: Mutex::new(Claim::Unasked(Box::new(manager))) })
    }
}

/// Creates the lease if it does not exist.
async fn make(leases: &Api<Lease>, name: &str, owner: Option<OwnerReference>) -> Result<(), kube::Error> {
    if leases.get_opt(name).await?.is_some() {
        return Ok(());
    }
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    match leases.create(&PostParams::default(), &Lease { metadata, spec: None }).await {
        // Another process was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        made => made.map(drop),
    }
}

/// Acquires the lease, and renews it while it is held, as long as there is a receiver.
async fn keep(
    mut manager: LeaseManager,
    candidate: Candidate,
    leases: Api<Lease>,
    held: Sender<bool>,
) -> Result<LeaseManager, LeaseManagerError> {
    let name = &candidate.name;
    loop {
        let (holds, seen) = (*held.borrow(), leases.get(name));
        let changed = async {
            // This comes before the manager reads, so that no change between the two is missed.
            let seen =
                if holds { None } else { tokio::time::timeout(ASK, seen).await.ok().and_then(Result::ok) };
            tokio::select! {
                changed = manager.changed() => Some(changed),
                () = given_up(&leases, name, seen), if !holds => None,
            }
        };
        let changed = tokio::select! {
            biased;
            () = held.closed() => {
                manager.release().await?;
                return Ok(manager);
            }
            changed = changed => changed,
        };
        match changed {
            Some(Ok(holds)) => drop(held.send_replace(holds)),
            Some(Err(error)) => {
                tracing::warn!(lease = name, %error, "the lease cannot be asked for");
                tokio::time::sleep(ASK).await;
            }
            // The manager would sleep until the end of the lease that it knows. A new one reads the present
            // state.
            None => match candidate.manager().await {
                Ok(fresh) => manager = fresh,
                Err(error) => tracing::warn!(lease = name, %error, "the lease cannot be looked at"),
            },
        }
    }
}

/// Returns when the holder of the lease has released it, or when that cannot be watched.
async fn given_up(leases: &Api<Lease>, name: &str, seen: Option<Lease>) {
    let mut taken = seen.as_ref().is_some_and(is_taken);
    let version = seen.and_then(|lease| lease.metadata.resource_version);
    let this = WatchParams::default().fields(&format!("metadata.name={name}"));
    if let Some(version) = version
        && let Ok(events) = leases.watch(&this, &version).await
    {
        let mut events = std::pin::pin!(events);
        while let Some(Ok(event)) = events.next().await {
            let now = match &event {
                WatchEvent::Added(lease) | WatchEvent::Modified(lease) => is_taken(lease),
                WatchEvent::Deleted(_) => false,
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(_) => break,
            };
            if taken && !now {
                return;
            }
            taken = now;
        }
    }
    tokio::time::sleep(ASK).await;
}

fn is_taken(lease: &Lease) -> bool {
    let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
    holder.is_some_and(|holder| !holder.is_empty())
}

#[async_trait]
impl Leadership for KubernetesLease {
    async fn acquired(&self) -> Result<(), String> {
        let mut claim = self.claim.lock().await;
        if let Claim::Unasked(_) = &*claim
            && let Claim::Unasked(manager) = std::mem::replace(&mut *claim, Claim::Over)
        {
            let (sender, held) = channel(false);
            let task = tokio::spawn(keep(*manager, self.candidate.clone(), self.leases.clone(), sender));
            *claim = Claim::Asked { held, task };
        }
        let Claim::Asked { held, .. } = &*claim else {
            return Err(format!("lease {} was given up", self.candidate.name));
        };
        let mut held = held.clone();
        drop(claim);
        let outcome = held.wait_for(|held| *held).await;
        outcome.map(|_| ()).map_err(|_| format!("lease {} is not asked for any more", self.candidate.name))
    }

    async fn release(&self) {
        let claim = std::mem::replace(&mut *self.claim.lock().await, Claim::Over);
        let Claim::Asked { held, task } = claim else { return };
        // The task releases the lease once there is no receiver; it does not wait for an unavailable API
        // server.
        drop(held);
        let abort = task.abort_handle();
        let ended = if let Ok(ended) = tokio::time::timeout(RELEASE, task).await {
            ended.map_err(|error| error.to_string())
        } else {
            abort.abort();
            Err("no answer in time".to_owned())
        };
        if let Err(error) = ended.and_then(|ended| ended.map_err(|error| error.to_string())) {
            tracing::warn!(
                lease = self.candidate.name,
                error,
                "the lease could not be released, and expires"
            );
        }
    }
}

#[async_trait]
impl Active for KubernetesLease {
    async fn address(&self) -> Option<SocketAddr> {
        let lease = tokio::time::timeout(ASK, self.leases.get(&self.candidate.name)).await;
        let lease = lease
            .map_err(|_| "no answer in time".to_owned())
            .and_then(|answer| answer.map_err(|e| e.to_string()));
        match lease {
            Ok(lease) => {
                address_of(&lease.spec?.holder_identity?).filter(|address| *address != self.candidate.address)
            }
            Err(error) => {
                tracing::warn!(lease = self.candidate.name, error, "who leads is not known");
                None
            }
        }
    }
}

/// The address in an identity.
fn address_of(identity: &str) -> Option<SocketAddr> {
    identity.rsplit_once('_')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_tells_the_address() {
        assert_eq!(address_of("main-0_10.1.2.3:8080"), "10.1.2.3:8080".parse().ok());
        assert_eq!(address_of("main-0_[fd00::1]:8080"), "[fd00::1]:8080".parse().ok());
        assert_eq!(address_of("somebody else's"), None);
        assert_eq!(address_of(""), None);
    }
}
