//! Reads partitions from given positions on.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::Position;
use kbnt_application::ports::{Fetched, LogError, LogReader};
use kbnt_domain::Span;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::store::Store;

/// Positions in the log that move forward.
pub(super) struct Reader {
    store: Arc<Store>,
    next: Vec<Position>,
    /// Where the next round begins, so that no partition starves.
    turn: usize,
    bell: Arc<Notify>,
}

impl Reader {
    pub(super) fn new(store: &Arc<Store>, from: Vec<Position>) -> Result<Self, LogError> {
        for position in &from {
            store.partition(position.topic, position.partition)?;
        }
        let bell = store.waiters.register(from.iter().map(|position| position.topic).collect());
        Ok(Self { store: Arc::clone(store), next: from, turn: 0, bell })
    }

    /// At most `most` records that are there now: a fair share of each partition first.
    pub(super) fn ready(&mut self, most: usize) -> Result<Vec<Fetched>, LogError> {
        let mut records = Vec::new();
        let count = self.next.len();
        if count == 0 {
            return Ok(records);
        }
        self.turn = (self.turn + 1) % count;
        for share in [most.div_ceil(count), most] {
            for index in (0..count).map(|step| (self.turn + step) % count) {
                let room = share.min(most - records.len());
                let position = &mut self.next[index];
                let partition = self.store.partition(position.topic, position.partition)?;
                if room == 0 || partition.end() <= position.offset {
                    continue;
                }
                for (offset, entry) in partition.read(position.offset, room)? {
                    records.push(entry.fetched(partition.at(offset)));
                    position.offset = offset + 1;
                }
            }
        }
        Ok(records)
    }

    pub(super) fn bell(&self) -> &Notify {
        &self.bell
    }
}

/// Waits for `bell` until `deadline`; whether it rang.
pub(super) async fn rang(bell: &Notify, deadline: Instant) -> bool {
    tokio::time::timeout_at(deadline, bell.notified()).await.is_ok()
}

/// The end of a wait that begins now.
pub(super) fn deadline(wait: Span) -> Instant {
    Instant::now() + Duration::from_millis(wait.as_millis())
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError> {
        let deadline = deadline(wait);
        loop {
            let records = self.ready(most)?;
            if !records.is_empty() || !rang(&self.bell, deadline).await {
                return Ok(records);
            }
        }
    }

    fn positions(&self) -> Vec<Position> {
        self.next.clone()
    }
}
