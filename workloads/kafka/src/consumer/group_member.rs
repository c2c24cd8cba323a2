//! Reads as a member of a service's group.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::Service;
use kbnt_application::ports::{Commit, Fetched, GroupBatch, GroupReader, LogError};
use kbnt_domain::Span;
use tokio::sync::{mpsc, oneshot};

use super::group_worker::{self as group, Portion, Shared};
use super::polling_consumer::PORTIONS;
use super::record_cache::Reading;
use crate::client::config::KafkaConfig;
use crate::client::supervisor::Watch;

/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(5);

/// A member of a service's group.
pub(crate) struct Member {
    shared: Shared,
    portions: mpsc::Receiver<Portion>,
    left: oneshot::Receiver<()>,
    buffer: VecDeque<Fetched>,
    /// What came after the records in the buffer, and is no record.
    after: Option<Portion>,
    /// Told when the next batch is asked for: the caller is done with what was revoked.
    revoked: Option<std::sync::mpsc::Sender<()>>,
}

impl Member {
    pub(crate) fn join(
        config: &Arc<KafkaConfig>,
        watch: &Arc<Watch>,
        service: Service,
        reading: Reading,
    ) -> Result<Self, LogError> {
        let shared = Shared::of(watch.life("member"));
        let (send, portions) = mpsc::channel(PORTIONS);
        let left = group::start(config, watch, service, &shared, reading, send)?;
        Ok(Self { shared, portions, left, buffer: VecDeque::new(), after: None, revoked: None })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.stop.stop();
    }
}

impl Member {
    /// The next portion, if it comes in time.
    async fn first(&mut self, wait: Span) -> Result<Option<Portion>, LogError> {
        if let Some(portion) = self.after.take() {
            return Ok(Some(portion));
        }
        match tokio::time::timeout(Duration::from_millis(wait.as_millis()), self.portions.recv()).await {
            Ok(None) => Err(LogError::Refused("the group reader has ended".to_owned())),
            Ok(portion) => Ok(portion),
            Err(_) => Ok(None),
        }
    }

    /// What a portion is to the caller; records go into the buffer.
    fn take_in(&mut self, portion: Portion) -> Result<Option<GroupBatch>, LogError> {
        match portion {
            Portion::Records(records) => self.buffer.extend(records),
            Portion::Assigned(assigned) => return Ok(Some(GroupBatch::Assigned(assigned))),
            Portion::Revoked(partitions, done) => {
                // Where no records were wanted, those of before are still here.
                self.buffer.retain(|fetched| !partitions.contains(&fetched.at().partition));
                self.revoked = Some(done);
                return Ok(Some(GroupBatch::Revoked(partitions)));
            }
            Portion::Failed(error) => return Err(error),
        }
        Ok(None)
    }

    /// The next change, if it comes in time. What the thread had read before it noticed that no records are wanted goes into
    /// the buffer.
    async fn change(&mut self, wait: Span) -> Result<GroupBatch, LogError> {
        while let Some(portion) = self.first(wait).await? {
            if let Some(change) = self.take_in(portion)? {
                return Ok(change);
            }
        }
        self.shared.life.check()?;
        Ok(GroupBatch::Records(Vec::new()))
    }
}

#[async_trait]
impl GroupReader for Member {
    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        // A worker that has stopped needs no answer.
        let _ = self.revoked.take().map(|done| done.send(()));
        // What is in the buffer comes first, so that it does not grow however often reading is put off.
        self.shared.hold.store(most <= self.buffer.len(), Ordering::Release);
        if most == 0 {
            return self.change(wait).await;
        }
        if self.buffer.is_empty() {
            match self.first(wait).await? {
                Some(portion) => {
                    if let Some(change) = self.take_in(portion)? {
                        return Ok(change);
                    }
                }
                None => self.shared.life.check()?,
            }
        }
        while self.buffer.len() < most && self.after.is_none() {
            match self.portions.try_recv() {
                Ok(Portion::Records(records)) => self.buffer.extend(records),
                Ok(other) => self.after = Some(other),
                Err(_) => break,
            }
        }
        let most = most.min(self.buffer.len());
        Ok(GroupBatch::Records(self.buffer.drain(..most).collect()))
    }

    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError> {
        let mut all = self.shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
        for commit in commits {
            all.insert((commit.next.topic, commit.next.partition), commit);
        }
        Ok(())
    }

    async fn leave(mut self: Box<Self>) -> Result<(), LogError> {
        self.shared.stop.stop();
        self.portions.close();
        let left = tokio::time::timeout(LEAVE, &mut self.left).await;
        // Beyond that the group finds out by itself that we are gone.
        left.map(drop).map_err(|_| LogError::Unavailable("leaving the group took too long".to_owned()))
    }
}
