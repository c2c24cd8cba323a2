//! Where services keep snapshots, so that they start soon.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kbnt_adapters::snapshots::{Rows, SnapshotDirectory};
use kbnt_application::Service;
use kbnt_runtime::SnapshotPlan;

use crate::cli::StateOptions;
use crate::failure::Failure;

/// The store in this directory.
pub(super) fn store_in<I>(directory: &Path) -> Result<SnapshotDirectory<I>, Failure> {
    let refused = |error| Failure::Options(format!("snapshots in {}: {error}", directory.display()));
    SnapshotDirectory::open(directory).map_err(refused)
}

/// The plan that the options ask for.
pub(crate) fn plan_of<I: Rows>(options: &StateOptions) -> Result<Option<SnapshotPlan<I>>, Failure> {
    let every = options.snapshots.snapshot_interval;
    let store = options.snapshot_dir.as_deref().map(store_in).transpose()?;
    Ok(store.map(|store| SnapshotPlan { store: Arc::new(store), every }))
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
