//! Where services keep snapshots, so that they start soon.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kbnt_adapters::checkpoints::{CheckpointedHistory, CheckpointedSnapshots, Checkpoints};
use kbnt_adapters::closed_orders::FjallArchive;
use kbnt_adapters::history::SqliteHistory;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::snapshots::{Rows, SnapshotDirectory};
use kbnt_application::Service;
use kbnt_application::ports::SnapshotStore;
use kbnt_runtime::{HistoryPlan, SnapshotPlan};
use tokio::runtime::Handle;

use super::places::place_to_write;
use crate::cli::StateOptions;
use crate::failure::Failure;

/// The store in this directory.
pub(super) fn store_in<I>(directory: &Path) -> Result<SnapshotDirectory<I>, Failure> {
    let refused = |error| Failure::Options(format!("snapshots in {}: {error}", directory.display()));
    SnapshotDirectory::open(directory).map_err(refused)
}

/// The plan that the options ask for, of a service without an archive of closed orders.
pub(crate) fn plan_of<I: Rows>(
    options: &StateOptions,
    service: Service,
    metrics: &Arc<Metrics>,
) -> Result<Option<SnapshotPlan<I>>, Failure> {
    let Some(directory) = &options.snapshot_dir else { return Ok(None) };
    plan(options, Arc::new(store_in(directory)?), service, None, metrics).map(Some)
}

/// The plan that the options ask for, with snapshots in this store.
pub(super) fn plan<I: Rows>(
    options: &StateOptions,
    local: Arc<dyn SnapshotStore<I>>,
    service: Service,
    archive: Option<Arc<FjallArchive>>,
    metrics: &Arc<Metrics>,
) -> Result<SnapshotPlan<I>, Failure> {
    let every = options.snapshots.snapshot_interval;
    let Some(address) = &options.checkpoint_to else { return Ok(SnapshotPlan { store: local, every }) };
    let checkpoints = Checkpoints::new(place_to_write(address)?, service);
    let (interval, metrics) = (options.checkpoint_interval, Arc::clone(metrics));
    let store = CheckpointedSnapshots::new(local, checkpoints, archive, interval, Handle::current(), metrics);
    Ok(SnapshotPlan { store: Arc::new(store), every })
}

/// The plan for a history in this directory, with the checkpoints that the options ask for.
pub(crate) fn with_checkpoints(
    plan: HistoryPlan,
    options: &StateOptions,
    directory: &Path,
    metrics: &Arc<Metrics>,
) -> Result<HistoryPlan, Failure> {
    let Some(address) = &options.checkpoint_to else { return Ok(plan) };
    let checkpoints = Checkpoints::new(place_to_write(address)?, Service::Order);
    let (store, interval) = (SqliteHistory::new(directory.to_owned()), options.checkpoint_interval);
    let store = CheckpointedHistory::new(store, checkpoints, interval, Arc::clone(metrics));
    Ok(HistoryPlan { store: Arc::new(store), ..plan })
}

/// The plan of `kbnt serve` for a service: a folder of its own in the data directory, which this process has locked. If that fails, the
/// shop opens without it.
pub(crate) fn plan_in_data_dir<I: Rows>(
    directory: &Path,
    service: Service,
    every: Duration,
) -> Option<SnapshotPlan<I>> {
    match store_in(&folder(directory, service)) {
        Ok(store) => Some(SnapshotPlan { store: Arc::new(store), every }),
        Err(error) => {
            let service = service.name();
            tracing::warn!(operation = "state-unavailable", service, %error, "it folds its whole log at each start");
            None
        }
    }
}

/// The folder of a service in a data directory.
pub(super) fn folder(directory: &Path, service: Service) -> PathBuf {
    directory.join(service.name().trim_end_matches("-service"))
}
