//! Deletes what no checkpoint needs any more.

use std::collections::HashSet;

use super::manifest::Manifest;
use super::{CheckpointError, Checkpoints, KEPT, Kind, SNAPSHOT};
use crate::objects::digits;

/// Manifests that are deleted at a time: one, unless it could not be done for long.
const DELETED_MOST: usize = 100;

/// The checkpoint for which an object was written.
fn number_of(name: &str) -> Option<u64> {
    digits(name.split_once('-')?.0, 12)
}

impl Checkpoints {
    /// Deletes older checkpoints, once `mine` is written; whether it is among those that stay.
    pub(super) async fn prune(&self, mine: &Manifest) -> Result<bool, CheckpointError> {
        let mut newest = self.place.newest_numbers(&self.manifests(), KEPT + DELETED_MOST).await?;
        let older = newest.split_off(KEPT.min(newest.len()));
        let Some(oldest) = newest.last().copied() else { return Ok(false) };
        let (mut snapshots, mut packs) = (HashSet::new(), HashSet::new());
        for number in &newest {
            let other = if *number == mine.number { None } else { Some(self.manifest(*number).await?.0) };
            let manifest = other.as_ref().unwrap_or(mine);
            snapshots.insert(manifest.snapshot_name());
            packs.extend(manifest.packs.iter().map(super::manifest::Pack::name));
        }
        // Before what they name: nobody finds one of which something is missing.
        for number in older {
            self.place.delete(&self.manifest_object(number)).await?;
        }
        self.delete_others(SNAPSHOT, &snapshots, oldest).await?;
        self.delete_others(self.packs, &packs, oldest).await?;
        Ok(newest.contains(&mine.number))
    }

    /// Deletes those that are not named and are older. Who writes one that is not, is about to name it.
    async fn delete_others(
        &self,
        kind: Kind,
        named: &HashSet<String>,
        oldest: u64,
    ) -> Result<(), CheckpointError> {
        let folder = self.folder(kind);
        let is_older = |name: &str| number_of(name).is_some_and(|number| number < oldest);
        for (name, _) in self.place.list(&folder, kind.ending).await? {
            if is_older(&name) && !named.contains(&name) {
                self.place.delete(&self.object(kind, &name)).await?;
            }
        }
        Ok(self.place.sweep(&folder, is_older)?)
    }
}
