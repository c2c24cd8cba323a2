//! The coordinator of the groups: what they have committed, and who owns what.

use std::collections::BTreeMap;

use kbnt_application::ports::Commit;
use kbnt_application::{Service, Topic};

use crate::log::Place;

#[derive(Debug, Default)]
pub(crate) struct Groups {
    committed: BTreeMap<(Service, Topic, u32), Commit>,
    owners: BTreeMap<(Service, u32), usize>,
}

impl Groups {
    pub(crate) fn committed(&self, service: Service, (topic, partition): Place) -> Option<Commit> {
        self.committed.get(&(service, topic, partition)).cloned()
    }

    /// Whether it takes the commit: that of a process that has lost the partition is refused.
    pub(crate) fn commit(&mut self, service: Service, process: usize, commit: Commit) -> bool {
        let owned = self.owner(service, commit.next.partition) == Some(process);
        if owned {
            self.committed.insert((service, commit.next.topic, commit.next.partition), commit);
        }
        owned
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
