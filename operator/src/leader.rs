//! Works only while holding a lease, so that several replicas can run and one works.

use std::future::Future;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::options::Options;

/// Name of the lease.
const LEASE: &str = "kbnt-operator";
/// A leader that has not renewed its lease for so many seconds is not one any more.
const DURATION: u64 = 15;
/// It is renewed so many seconds before, so that a busy API server has as long to answer.
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
        // An error means that the task ended; its result then says why.
        let _ = held.wait_for(|held| *held).await;
        info!(lease = LEASE, "this process is the leader");
        Ok(Self { held, task })
    }

    /// Done when the lease is lost.
    pub fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut held = self.held.clone();
        async move {
            let _ = held.wait_for(|held| !*held).await;
        }
    }

    /// Gives the lease to whoever waits for it.
    pub async fn release(self) {
        drop(self.held);
        match self.task.await {
            Ok(Ok(_)) => info!(lease = LEASE, "the lease is released"),
            Ok(Err(error)) => warn!(%error, "the lease could not be released, and expires"),
            Err(error) => warn!(%error, "the lease could not be released, and expires"),
        }
    }
}
