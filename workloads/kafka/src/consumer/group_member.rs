//! A member of a service's consumer group. Its [worker](super::group_worker) polls on a thread of its own.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::Service;
use kbnt_application::ports::{Commit, Fetched, GroupBatch, GroupReader, LogError};
use kbnt_domain::Span;
use tokio::sync::{mpsc, oneshot};

use super::group_worker::{self, GroupUpdate, MemberState};
use super::polling_consumer::CHANNEL_CAPACITY;
use super::record_cache::CacheReader;
use crate::client::config::KafkaConfig;
use crate::client::supervisor::ClientSupervisor;

/// How long leaving the group may take.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A member of a service's consumer group.
pub(crate) struct GroupMember {
    state: MemberState,
    updates: mpsc::Receiver<GroupUpdate>,
    /// Completes when the worker has left the group.
    left: oneshot::Receiver<()>,
    buffer: VecDeque<Fetched>,
    /// An update without records that follows those in the buffer.
    after_buffer: Option<GroupUpdate>,
    /// Signalled when the caller asks for the next batch: it no longer needs the revoked partitions.
    revoked: Option<std::sync::mpsc::Sender<()>>,
}

impl GroupMember {
    /// Starts the worker, which joins the group.
    pub(crate) fn join(
        config: &Arc<KafkaConfig>,
        supervisor: &Arc<ClientSupervisor>,
        service: Service,
        cache: CacheReader,
    ) -> Result<Self, LogError> {
        let state = MemberState::new(supervisor.register("member"));
        let (send, updates) = mpsc::channel(CHANNEL_CAPACITY);
        let left = group_worker::start(config, supervisor, service, &state, cache, send)?;
        Ok(Self { state, updates, left, buffer: VecDeque::new(), after_buffer: None, revoked: None })
    }

    /// The next update, if it arrives in time.
    async fn next_update(&mut self, wait: Span) -> Result<Option<GroupUpdate>, LogError> {
        if let Some(update) = self.after_buffer.take() {
            return Ok(Some(update));
        }
        match tokio::time::timeout(Duration::from_millis(wait.as_millis()), self.updates.recv()).await {
            Ok(None) => Err(LogError::Refused("the group reader has ended".to_owned())),
            Ok(update) => Ok(update),
            Err(_) => Ok(None),
        }
    }

    /// Moves records into the buffer; returns an assignment or a revocation to the caller.
    fn apply(&mut self, update: GroupUpdate) -> Result<Option<GroupBatch>, LogError> {
        match update {
            GroupUpdate::Records(records) => self.buffer.extend(records),
            GroupUpdate::Assigned(assigned) => return Ok(Some(GroupBatch::Assigned(assigned))),
            GroupUpdate::Revoked(partitions, done) => {
                // A caller that wanted no records has left some in the buffer.
                self.buffer.retain(|fetched| !partitions.contains(&fetched.at().partition));
                self.revoked = Some(done);
                return Ok(Some(GroupBatch::Revoked(partitions)));
            }
            GroupUpdate::Failed(error) => return Err(error),
        }
        Ok(None)
    }

    /// The next assignment or revocation, if it arrives in time. The worker may still send records that it read before it was
    /// paused; these go into the buffer.
    async fn next_rebalance(&mut self, wait: Span) -> Result<GroupBatch, LogError> {
        while let Some(update) = self.next_update(wait).await? {
            if let Some(rebalance) = self.apply(update)? {
                return Ok(rebalance);
            }
        }
        self.state.health.check()?;
        Ok(GroupBatch::Records(Vec::new()))
    }
}

impl Drop for GroupMember {
    fn drop(&mut self) {
        self.state.stop.set();
    }
}

#[async_trait]
impl GroupReader for GroupMember {
    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        // A worker that has ended no longer waits for the signal.
        let _ = self.revoked.take().map(|done| done.send(()));
        // The buffer is returned first, so that it does not grow however often the caller wants no records.
        self.state.paused.store(most <= self.buffer.len(), Ordering::Release);
        if most == 0 {
            return self.next_rebalance(wait).await;
        }
        if self.buffer.is_empty() {
            match self.next_update(wait).await? {
                Some(update) => {
                    if let Some(rebalance) = self.apply(update)? {
                        return Ok(rebalance);
                    }
                }
                None => self.state.health.check()?,
            }
        }
        while self.buffer.len() < most && self.after_buffer.is_none() {
            match self.updates.try_recv() {
                Ok(GroupUpdate::Records(records)) => self.buffer.extend(records),
                Ok(other) => self.after_buffer = Some(other),
                Err(_) => break,
            }
        }
        let most = most.min(self.buffer.len());
        Ok(GroupBatch::Records(self.buffer.drain(..most).collect()))
    }

    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError> {
        let mut pending = self.state.pending_commits.lock().unwrap_or_else(PoisonError::into_inner);
        for commit in commits {
            pending.insert((commit.next.topic, commit.next.partition), commit);
        }
        Ok(())
    }

    async fn leave(mut self: Box<Self>) -> Result<(), LogError> {
        self.state.stop.set();
        self.updates.close();
        let left = tokio::time::timeout(LEAVE_TIMEOUT, &mut self.left).await;
        // After that the group removes the member when its session times out.
        left.map(drop).map_err(|_| LogError::Unavailable("leaving the group took too long".to_owned()))
    }
}
