//! What inventory-service keeps on disk, so that it starts soon and its memory stays small. All of it is a cache of the log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kbnt_adapters::closed_orders::FjallArchive;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::snapshots::ArchivedSnapshots;
use kbnt_application::Service;
use kbnt_application::inventory::{ArchiveLimits, Image, InventoryMachine};
use kbnt_runtime::SnapshotPlan;

use super::process::Process;
use super::snapshots::{folder, plan, plan_of, store_in};
use crate::cli::StateOptions;
use crate::failure::Failure;

/// Snapshots and the archive of closed orders, as far as they are kept.
#[derive(Default)]
pub(crate) struct LedgerState {
    archive: Option<Arc<FjallArchive>>,
    /// How many bytes the archive may take.
    limit: Option<u64>,
    snapshots: Option<SnapshotPlan<Image>>,
}

impl LedgerState {
    /// What the options ask for.
    pub(crate) fn of(options: &StateOptions, metrics: &Arc<Metrics>) -> Result<Self, Failure> {
        let archive = options.state_dir.as_deref().map(archive_in).transpose()?;
        let snapshots = match (options.snapshot_dir.as_deref(), &archive) {
            (Some(directory), Some(archive)) => {
                let (local, archive) =
                    (Arc::new(archived_in(directory, archive)?), Some(Arc::clone(archive)));
                Some(plan(options, local, Service::Inventory, archive, metrics)?)
            }
            _ => plan_of(options, Service::Inventory, metrics)?,
        };
        Ok(Self { archive, limit: options.state_limit, snapshots })
    }

    /// Both, in a data directory that this process has locked. The shop opens without them, too.
    pub(crate) fn in_data_dir(directory: &Path, every: Duration) -> Self {
        let folder = folder(directory, Service::Inventory);
        let kept = archive_in(&folder).and_then(|archive| {
            let store = Arc::new(archived_in(&folder, &archive)?);
            let snapshots = Some(SnapshotPlan { store, every });
            Ok(Self { archive: Some(archive), limit: None, snapshots })
        });
        kept.unwrap_or_else(|error| {
            tracing::warn!(
                operation = "state-unavailable", %error,
                "the inventory folds the whole log, and keeps all orders of the window in memory"
            );
            Self::default()
        })
    }

    /// The machine with its archive, which `process` shows, and the snapshots.
    pub(crate) fn attach(
        self,
        machine: InventoryMachine,
        process: &mut Process,
    ) -> (InventoryMachine, Option<SnapshotPlan<Image>>) {
        let machine = match self.archive {
            Some(archive) => {
                process.show_archive(Arc::clone(&archive), self.limit);
                machine.archiving(archive, ArchiveLimits::default())
            }
            None => machine,
        };
        (machine, self.snapshots)
    }
}

fn archive_in(directory: &Path) -> Result<Arc<FjallArchive>, Failure> {
    let refused = |error| Failure::Options(format!("closed orders in {}: {error}", directory.display()));
    FjallArchive::open(directory).map(Arc::new).map_err(refused)
}

/// Snapshots that go with an archive.
fn archived_in(directory: &Path, archive: &Arc<FjallArchive>) -> Result<ArchivedSnapshots, Failure> {
    Ok(ArchivedSnapshots::new(store_in(directory)?, Arc::clone(archive)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_keeps_both_unless_that_fails() {
        let directory = tempfile::tempdir().unwrap();
        let open = || LedgerState::in_data_dir(directory.path(), Duration::from_secs(15));
        let kept = open();
        assert!(kept.archive.is_some() && kept.snapshots.is_some());
        drop(kept);
        std::fs::remove_dir_all(directory.path().join("inventory")).unwrap();
        std::fs::write(directory.path().join("inventory"), "in the way").unwrap();
        let kept = open();
        assert!(kept.archive.is_none() && kept.snapshots.is_none());
    }
}
