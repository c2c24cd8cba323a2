//! Folders to which a service writes. Everything else in its pod is read-only.

use k8s_openapi::api::core::v1::{EnvVar, Volume, VolumeMount};

use super::{Checkpoints, Plan, Role, closed_orders, history, snapshots};

/// A folder to which a service writes, on a volume of its own.
pub(super) struct DataDir {
    /// Variables by which the service finds and uses it.
    pub(super) env: Vec<EnvVar>,
    /// The volume.
    pub(super) volume: Volume,
    /// Where it lies in the pod.
    pub(super) path: &'static str,
}

impl DataDir {
    /// The folders of a service of this resource.
    pub(super) fn of(plan: &Plan, resource: &str) -> Vec<Self> {
        let keeps_snapshots = matches!(plan.role, Role::Inventory | Role::User | Role::Audit);
        let archive = plan.closed_orders.as_ref();
        let archive = archive.map(|spec| closed_orders::data_dir(spec, resource, plan.role));
        let history = plan.read_model.as_ref().and_then(|spec| history::data_dir(spec, resource, plan.role));
        let checkpoints = plan.checkpoints.as_ref().and_then(Checkpoints::data_dir);
        let snapshots = keeps_snapshots.then(snapshots::data_dir);
        snapshots.into_iter().chain(archive).chain(history).chain(checkpoints).collect()
    }

    pub(super) fn mount(&self) -> VolumeMount {
        VolumeMount { name: self.volume.name.clone(), mount_path: self.path.into(), ..VolumeMount::default() }
    }
}
