//! A store of snapshots, which keeps a few, and damages one now and then.

use kbnt_application::inventory::Image;
use kbnt_application::ports::{Snapshot, SnapshotError};

use crate::world::World;

/// How many snapshots a store keeps.
const KEPT: usize = 3;

impl World {
    /// Keeps one more.
    pub(crate) fn keep(&mut self, id: usize, snapshot: Snapshot<Image>) {
        self.kept.push(snapshot);
        if self.kept.len() > KEPT {
            self.kept.remove(0);
        }
        self.say(|| format!("{} keeps a snapshot", self.processes[id].name()));
    }

    /// The snapshot before so many newer ones; now and then one is damaged.
    pub(crate) fn load(
        &mut self,
        id: usize,
        before: usize,
    ) -> Option<Result<Box<Snapshot<Image>>, SnapshotError>> {
        let at = self.kept.len().checked_sub(before + 1)?;
        if self.rng.chance(250) {
            return Some(Err(SnapshotError::Damaged("by the seed")));
        }
        let snapshot = self.kept.get(at)?.clone();
        self.processes[id].restored = true;
        self.say(|| format!("{} begins with {:?}", self.processes[id].name(), snapshot.folded));
        Some(Ok(Box::new(snapshot)))
    }
}
