//! What the groups have committed, and who owns what.

use std::collections::BTreeMap;

use kbnt_application::{Service, Topic};

use crate::log::Place;

/// From where a new owner goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committed {
    pub(crate) next: u64,
    pub(crate) note: String,
}

/// The group coordinator.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    committed: BTreeMap<(Service, Topic, u32), Committed>,
    owners: BTreeMap<(Service, u32), usize>,
}

impl Groups {
    pub(crate) fn committed(&self, service: Service, (topic, partition): Place) -> Committed {
        self.committed.get(&(service, topic, partition)).cloned().unwrap_or_default()
    }

    /// A commit by a process that has lost the partition is refused.
    pub(crate) fn commit(&mut self, service: Service, process: usize, place: Place, commit: Committed) {
        if self.owner(service, place.1) == Some(process) {
            self.committed.insert((service, place.0, place.1), commit);
        }
    }

    pub(crate) fn owner(&self, service: Service, partition: u32) -> Option<usize> {
        self.owners.get(&(service, partition)).copied()
    }

    pub(crate) fn assign(&mut self, service: Service, partition: u32, process: usize) {
        self.owners.insert((service, partition), process);
    }

    pub(crate) fn release(&mut self, service: Service, partition: u32) {
        self.owners.remove(&(service, partition));
    }

    /// What was committed for this partition has expired.
    pub(crate) fn expire(&mut self, service: Service, (topic, partition): Place) {
        self.committed.remove(&(service, topic, partition));
    }

    /// All that this process owned is free.
    pub(crate) fn leave(&mut self, process: usize) {
        self.owners.retain(|_, owner| *owner != process);
    }
}
