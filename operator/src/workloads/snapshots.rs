//! Where inventory-service keeps its snapshots: a folder that outlives the process, and is deleted with the
//! pod.

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::data_dir::DataDir;
use super::pod::plain;

/// Name of the volume.
const NAME: &str = "snapshots";
/// Its folder in the pod.
const FOLDER: &str = "/var/lib/kbnt/snapshots";
/// Room for three snapshots of some eighteen million orders that ended within a day: two are kept while the
/// next one is written.
const SIZE_LIMIT: &str = "2Gi";

pub(super) fn data_dir() -> DataDir {
    DataDir {
        env: vec![plain("KBNT_SNAPSHOT_DIR", FOLDER)],
        volume: Volume {
            name: NAME.into(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(SIZE_LIMIT.into())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        },
        path: FOLDER,
    }
}
