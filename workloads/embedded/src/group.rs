//! Consumer groups: the first member has all partitions until it leaves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kbnt_application::ports::{Assignment, Commit, GroupBatch, GroupReader, LogError, LogReader as _};
use kbnt_application::{Position, Service};
use kbnt_domain::Span;
use tokio::sync::Notify;

use super::reader::{Reader, deadline, notified};
use super::store::Store;
use kbnt_wire::Bytes;

/// The members of each group, in the order of joining.
#[derive(Debug, Default)]
pub(super) struct Groups {
    members: Mutex<HashMap<Service, Vec<Arc<Notify>>>>,
}

impl Groups {
    fn enter(&self, service: Service) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.entry(service).or_default().push(Arc::clone(&notify));
        notify
    }

    /// The services whose group has members.
    pub(super) fn joined(&self) -> Vec<Service> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter(|(_, members)| !members.is_empty()).map(|(service, _)| *service).collect()
    }

    fn is_first(&self, service: Service, notify: &Arc<Notify>) -> bool {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members
            .get(&service)
            .and_then(|members| members.first())
            .is_some_and(|first| Arc::ptr_eq(first, notify))
    }

    fn leave(&self, service: Service, notify: &Arc<Notify>) {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(members) = members.get_mut(&service) {
            members.retain(|member| !Arc::ptr_eq(member, notify));
            if let Some(first) = members.first() {
                first.notify_one();
            }
        }
    }
}

/// A member of a service's group, which leaves on drop.
pub(super) struct Member {
    store: Arc<Store>,
    service: Service,
    bytes: Bytes,
    /// Notified when an earlier member leaves.
    turn: Arc<Notify>,
    stage: Stage,
}

enum Stage {
    /// It has just joined.
    New,
    /// Another member has all partitions.
    Waiting,
    /// It has all partitions.
    Reading(Reader),
}

impl Member {
    pub(super) fn join(store: &Arc<Store>, service: Service, bytes: Bytes) -> Self {
        let turn = store.groups.enter(service);
        Self { store: Arc::clone(store), service, bytes, turn, stage: Stage::New }
    }

    /// Takes all partitions, from the committed offsets.
    fn take(&mut self) -> Result<GroupBatch, LogError> {
        let inputs = self.service.inputs();
        let count = inputs.iter().map(|topic| topic.partitions()).max().unwrap_or(0);
        let mut from = Vec::new();
        let mut assigned = Vec::new();
        for partition in 0..count {
            let committed = self.store.committed(self.service, partition);
            for topic in inputs.iter().copied().filter(|topic| partition < topic.partitions()) {
                let commit = committed.iter().find(|commit| commit.next.topic == topic);
                let offset = commit.map_or(0, |commit| commit.next.offset);
                from.push(Position { topic, partition, offset });
            }
            assigned.push(Assignment { partition, committed, ..Assignment::default() });
        }
        self.stage = Stage::Reading(Reader::new(&self.store, from, self.bytes)?);
        Ok(GroupBatch::Assigned(assigned))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.store.groups.leave(self.service, &self.turn);
    }
}

#[async_trait]
impl GroupReader for Member {
    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        let deadline = deadline(wait);
        loop {
            match &mut self.stage {
                Stage::Reading(_) if most == 0 => {
                    // The member that has all partitions keeps them.
                    tokio::time::sleep_until(deadline).await;
                    return Ok(GroupBatch::Records(Vec::new()));
                }
                Stage::Reading(reader) => return reader.next(most, wait).await.map(GroupBatch::Records),
                _ if self.store.groups.is_first(self.service, &self.turn) => return self.take(),
                Stage::New => {
                    self.stage = Stage::Waiting;
                    return Ok(GroupBatch::Assigned(Vec::new()));
                }
                Stage::Waiting => {}
            }
            if !notified(&self.turn, deadline).await {
                return Ok(GroupBatch::Records(Vec::new()));
            }
        }
    }

    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError> {
        self.store.commit(self.service, commits);
        Ok(())
    }

    async fn leave(self: Box<Self>) -> Result<(), LogError> {
        Ok(())
    }
}
