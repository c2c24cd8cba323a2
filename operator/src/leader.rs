//! Leader election: of several replicas, the one that holds the lease works.

use std::future::Future;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::options::Options;

/// Name of the lease.
const LEASE: &str = "kbnt-operator";
/// Seconds after which a leader that has not renewed its lease loses it.
const DURATION: u64 = 15;
/// The lease is renewed this many seconds earlier, so that a busy API server has that long to answer.
const GRACE: u64 = 10;

/// A held lease. Dropping it without [`Leadership::release`] lets it expire.
pub struct Leadership {
    held: Receiver<bool>,
    task: JoinHandle<Result<LeaseManager, LeaseManagerError>>,
}

impl Leadership {
    /// Waits until this process holds the lease.
    pub async fn acquire(client: Client, options: &Options) -> Result<Self, LeaseManagerError> {
        let manager = LeaseManagerBuilder::new(client, LEASE)
            .with_namespace(&options.namespace)
            .with_identity(&options.instance)
            .with_field_manager(format!("kbnt-operator-{}", options.instance))
            .with_duration(DURATION)
            .with_grace(GRACE)
            .build()
            .await?;
        info!(lease = LEASE, "waiting to become the leader");
        let (mut held, task) = manager.watch().await;
        // An error means that the task ended. Its result states why.
        let _ = held.wait_for(|held| *held).await;
        info!(lease = LEASE, "this process is the leader");
        Ok(Self { held, task })
    }

    /// Completes when the lease is lost.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut held = self.held.clone();
        async move {
            let _ = held.wait_for(|held| !*held).await;
        }
    }

    /// Releases the lease for the next process.
    pub async fn release(self) {
        drop(self.held);
        match self.task.await {
            Ok(Ok(_)) => info!(lease = LEASE, "the lease is released"),
            Ok(Err(error)) => warn!(%error, "the lease could not be released, and expires"),
            Err(error) => warn!(%error, "the lease could not be released, and expires"),
        }
    }
}
