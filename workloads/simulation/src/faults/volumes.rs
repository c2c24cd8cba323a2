//! The volumes of pods: snapshots, and the inventory's archive of closed orders. Both outlive the processes; either may be damaged,
//! lost, old or another pod's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use kbnt_application::driver::Event;
use kbnt_application::ports::{Snapshot, SnapshotError};
use kbnt_application::{Position, Service};

use super::archive::{Contents, DiskArchive, Trouble};
use super::cuts::Checkpoint;
use super::images::NodeImage;
use crate::process::Process;
use crate::world::World;

/// How many snapshots a volume keeps, as production does.
const KEPT: usize = 2;

/// How many checkpoints stay, as production does.
const CHECKPOINTS: usize = 3;

/// How many old copies of archives there are.
const COPIES: usize = 4;

/// What outlives the processes of a pod of the inventory.
#[derive(Debug, Default)]
pub(crate) struct Volume {
    /// If the inventory has one.
    pub(crate) archive: Option<Arc<DiskArchive>>,
    /// The oldest first.
    snapshots: Vec<Snapshot<NodeImage>>,
}

/// The volume of a process.
#[derive(Debug, Default)]
pub(crate) struct Mount {
    volume: usize,
    pub(crate) archive: Option<Arc<DiskArchive>>,
    /// What the process has begun with, a snapshot or an archive, was not compared with the log yet.
    pub(crate) unchecked: bool,
}

impl Mount {
    pub(crate) fn without_archive(self) -> Self {
        Self { volume: self.volume, ..Self::default() }
    }
}

/// All volumes, and copies that somebody has made of archives.
#[derive(Debug, Default)]
pub(crate) struct Volumes {
    pub(crate) all: Vec<Volume>,
    copies: Vec<Contents>,
    /// Those of the other services: the newest of all their pods, the oldest first.
    others: BTreeMap<Service, Vec<Snapshot<NodeImage>>>,
    /// Checkpoints, the oldest first.
    checkpoints: BTreeMap<Service, Vec<Checkpoint>>,
    /// The last records of all of the inventory's checkpoints that ever were.
    pub(super) counting: Vec<Position>,
}

impl Volumes {
    pub(crate) fn archives(&self) -> impl Iterator<Item = &DiskArchive> {
        self.all.iter().filter_map(|volume| volume.archive.as_deref())
    }

    fn keep_checkpoint(&mut self, service: Service, checkpoint: Checkpoint) {
        if service == Service::Inventory {
            self.counting.extend(checkpoint.snapshot.folded.iter().map(|mark| mark.at));
        }
        let checkpoints = self.checkpoints.entry(service).or_default();
        checkpoints.push(checkpoint);
        if checkpoints.len() > CHECKPOINTS {
            checkpoints.remove(0);
        }
    }

    pub(super) fn checkpoints_of(&self, service: Service) -> &[Checkpoint] {
        self.checkpoints.get(&service).map_or(&[], Vec::as_slice)
    }

    /// Everything on them is lost.
    pub(crate) fn lose(&mut self) {
        *self = Self::default();
    }
}

impl World {
    /// The volume that the next process of the inventory gets. Without archives, all share their snapshots.
    pub(crate) fn mount(&mut self) -> Result<Mount, String> {
        let taken = |world: &Self, volume| {
            world.plan.archive.is_some()
                && world.alive(Service::Inventory).any(|process| process.mount.volume == volume)
        };
        let free: Vec<usize> = (0..self.volumes.all.len()).filter(|volume| !taken(self, *volume)).collect();
        let is_new = self.plan.archive.is_some() && self.rng.chance(150);
        let Some(volume) = self.rng.pick(&free).copied().filter(|_| !is_new) else {
            // Now and then a pod has none, and finds a snapshot of another one.
            let archive = self.plan.archive.filter(|_| !self.rng.chance(100)).map(|_| Arc::default());
            self.volumes.all.push(Volume { archive, snapshots: Vec::new() });
            return self.opened(self.volumes.all.len() - 1);
        };
        if self.plan.archive.is_some() && self.rng.chance(self.plan.faults.volume) {
            self.report.faults += 1;
            self.mishap(volume);
        }
        self.opened(volume)
    }

    fn opened(&self, volume: usize) -> Result<Mount, String> {
        let archive = self.volumes.all[volume].archive.clone();
        if let Some(archive) = &archive {
            archive.open(self.plan.snapshots.is_some());
            archive.broken().map_or(Ok(()), Err)?;
        }
        Ok(Mount { volume, unchecked: archive.is_some() && self.plan.timely, archive })
    }

    /// Something happens to an archive while nobody uses it.
    fn mishap(&mut self, volume: usize) {
        let other = self.rng.index(self.volumes.all.len());
        let Self { rng, volumes, .. } = self;
        let (Some(archive), Some(other)) = (&volumes.all[volume].archive, &volumes.all[other].archive) else {
            return;
        };
        let what = match rng.below(6) {
            0 => {
                archive.replace(Contents::new());
                "is lost"
            }
            1 => {
                archive.replace(rng.pick(&volumes.copies).cloned().unwrap_or_default());
                "is an old copy"
            }
            2 => {
                archive.replace(other.contents());
                "is a copy of another one"
            }
            _ => {
                archive.fall_back(rng);
                "has lost what was not synced"
            }
        };
        self.say(|| format!("archive {volume} {what}"));
    }

    /// Something happens to an archive while it may be in use, or is over; or somebody makes a copy of it.
    pub(super) fn trouble(&mut self) {
        self.report.faults += 1;
        let volume = self.rng.index(self.volumes.all.len());
        let Self { rng, volumes, .. } = self;
        let Some(Volume { archive: Some(archive), .. }) = volumes.all.get(volume) else { return };
        let what = match rng.below(8) {
            0 => {
                archive.set_trouble(Trouble::Full);
                "is full"
            }
            1 => {
                archive.set_trouble(Trouble::Unreadable);
                "cannot be read"
            }
            2 => {
                archive.damage(rng);
                "is damaged"
            }
            3 | 4 => {
                let contents = archive.contents();
                volumes.copies.push(contents);
                if volumes.copies.len() > COPIES {
                    volumes.copies.remove(0);
                }
                "is copied"
            }
            _ => {
                archive.set_trouble(Trouble::None);
                "can be used"
            }
        };
        self.say(|| format!("archive {volume} {what}"));
    }

    /// Keeps one more snapshot, once the archive has what it needs.
    pub(crate) fn keep(&mut self, id: usize, snapshot: Snapshot<NodeImage>) {
        let kept = self.kept(id, snapshot);
        self.processes[id].tell(Event::Kept(kept, Duration::ZERO));
    }

    fn kept(&mut self, id: usize, snapshot: Snapshot<NodeImage>) -> Result<u64, SnapshotError> {
        let Process { service, mount, .. } = &self.processes[id];
        let checkpoint = snapshot.clone();
        let mut closed_orders = None;
        let snapshots = if let NodeImage::Inventory(image) = &snapshot.image {
            let Volume { archive, snapshots } = &mut self.volumes.all[mount.volume];
            if let Some(archive) = archive {
                archive.before_keeping().map_err(io::Error::other)?;
                archive.kept(&image.ledger.archived, KEPT);
                closed_orders = Some(archive.contents());
            }
            snapshots
        } else {
            self.volumes.others.entry(*service).or_default()
        };
        snapshots.push(snapshot);
        if snapshots.len() > KEPT {
            snapshots.remove(0);
        }
        if self.plan.cuts {
            self.volumes.keep_checkpoint(*service, Checkpoint { snapshot: checkpoint, closed_orders });
        }
        self.say(|| format!("{} keeps a snapshot", self.processes[id].name()));
        Ok(0)
    }

    /// A process begins with the snapshot before so many newer ones; now and then one is damaged, or another pod's.
    pub(crate) fn load(&mut self, id: usize, before: usize) {
        let loaded = self.loaded(id, before);
        self.processes[id].tell(Event::Loaded(loaded));
    }

    fn loaded(
        &mut self,
        id: usize,
        before: usize,
    ) -> Option<Result<Box<Snapshot<NodeImage>>, SnapshotError>> {
        let service = self.processes[id].service;
        let none = Vec::new();
        let snapshots = if service == Service::Inventory {
            let other = self.rng.index(self.volumes.all.len());
            let volume = if self.rng.chance(100) { other } else { self.processes[id].mount.volume };
            &self.volumes.all[volume].snapshots
        } else {
            self.volumes.others.get(&service).unwrap_or(&none)
        };
        let Some(at) = snapshots.len().checked_sub(before + 1) else {
            return self.fetched(id, before - snapshots.len());
        };
        if self.rng.chance(250) {
            return Some(Err(SnapshotError::Damaged("by the seed")));
        }
        let snapshot = snapshots.get(at)?.clone();
        self.processes[id].mount.unchecked = true;
        self.say(|| format!("{} begins with {:?}", self.processes[id].name(), snapshot.folded));
        Some(Ok(Box::new(snapshot)))
    }

    /// The checkpoint before so many newer ones, with which an archive is filled.
    fn fetched(&mut self, id: usize, skip: usize) -> Option<Result<Box<Snapshot<NodeImage>>, SnapshotError>> {
        let Process { service, mount, .. } = &self.processes[id];
        let checkpoints = self.volumes.checkpoints_of(*service);
        let Checkpoint { snapshot, closed_orders } =
            checkpoints.get(checkpoints.len().checked_sub(skip + 1)?)?.clone();
        if let (Some(archive), Some(contents)) = (&mount.archive, closed_orders)
            && let Err(error) = archive.fill(contents)
        {
            return Some(Err(SnapshotError::Unavailable(io::Error::other(error))));
        }
        self.say(|| format!("{} begins with a checkpoint, {:?}", self.processes[id].name(), snapshot.folded));
        self.processes[id].mount.unchecked = true;
        Some(Ok(Box::new(snapshot)))
    }
}
