//! Where a service keeps its snapshots: a folder that outlives the process, and is deleted with the pod.

use super::data_dir::DataDir;
use super::pod::plain;
use super::volume;

/// Its folder in the pod.
const FOLDER: &str = "/var/lib/kbnt/snapshots";
/// Room for three snapshots, two of which are kept while the next one is written: of some eighteen million orders that have not
/// ended, or that the archive could not take; or of some eight million users.
const SIZE_LIMIT: &str = "2Gi";

pub(super) fn data_dir() -> DataDir {
    DataDir {
        env: vec![plain("KBNT_SNAPSHOT_DIR", FOLDER)],
        volume: volume::on_node("snapshots", SIZE_LIMIT),
        path: FOLDER,
    }
}
