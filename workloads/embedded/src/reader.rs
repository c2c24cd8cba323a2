//! Reads partitions from given positions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::Position;
use kbnt_application::ports::{Fetched, LogError, LogReader};
use kbnt_domain::Span;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::partition::Found;
use super::store::{Partitions, Store};
use kbnt_wire::{self as wire, Bytes};

/// Records per read of the journal.
const LOAD: usize = 500;

/// A pending read of the journal.
type Load = JoinHandle<Result<Vec<Fetched>, LogError>>;

/// Positions in the log that move forward.
pub(super) struct Reader {
    partitions: Arc<Partitions>,
    bytes: Bytes,
    next: Vec<Position>,
    /// The partition at which the next round begins, so that no partition starves.
    turn: usize,
    notify: Arc<Notify>,
    /// The pending read of the journal and its partition; it continues when nobody waits for it.
    loading: Option<(usize, Load)>,
    /// Records of that partition from the journal that were not returned yet.
    loaded: VecDeque<Fetched>,
}

impl Reader {
    pub(super) fn new(store: &Store, from: Vec<Position>, bytes: Bytes) -> Result<Self, LogError> {
        let partitions = Arc::clone(&store.partitions);
        for position in &from {
            partitions.get(position.topic, position.partition)?;
        }
        let notify = partitions.waiters.register(from.iter().map(|position| position.topic).collect());
        Ok(Self { partitions, bytes, next: from, turn: 0, notify, loading: None, loaded: VecDeque::new() })
    }

    /// At most `most` records that are available now, with a fair share for each partition.
    fn ready(&mut self, most: usize) -> Result<Vec<Fetched>, LogError> {
        let mut records = Vec::new();
        let count = self.next.len();
        if count == 0 {
            return Ok(records);
        }
        self.turn = (self.turn + 1) % count;
        let turn = self.turn;
        for share in [most.div_ceil(count), most] {
            for index in (0..count).map(|step| (turn + step) % count) {
                self.take(index, share.min(most - records.len()), &mut records)?;
            }
        }
        Ok(records)
    }

    /// At most `room` records of one partition, or begins to load them.
    fn take(&mut self, index: usize, room: usize, records: &mut Vec<Fetched>) -> Result<(), LogError> {
        let position = &mut self.next[index];
        let partition = self.partitions.get(position.topic, position.partition)?;
        let is_loading = self.loading.as_ref().is_some_and(|(loading, _)| *loading == index);
        if room == 0 || is_loading || partition.end() <= position.offset {
            return Ok(());
        }
        match partition.find(position.offset, room) {
            Found::Kept(entries) => {
                for (offset, entry) in entries {
                    records.push(entry.fetched(partition.at(offset), self.bytes)?);
                    position.offset = offset + 1;
                }
            }
            Found::Stored(_) if self.loading.is_some() => {}
            Found::Stored(_) => {
                let Found::Stored(places) = partition.find(position.offset, LOAD) else { return Ok(()) };
                let (partitions, bytes) = (Arc::clone(&self.partitions), self.bytes);
                let load = tokio::task::spawn_blocking(move || {
                    let stored = partitions.stored(&places)?;
                    Ok(stored.into_iter().map(|(at, record)| wire::fetched(at, record, bytes)).collect())
                });
                self.loading = Some((index, load));
            }
        }
        Ok(())
    }

    /// Waits for the journal. Cancel safe: the next call finds the result.
    async fn finish_loading(&mut self) -> Result<(), LogError> {
        let Some((_, load)) = &mut self.loading else { return Ok(()) };
        let loaded = load.await.map_err(|error| LogError::Refused(error.to_string()));
        self.loading = None;
        self.loaded.extend(loaded??);
        Ok(())
    }

    /// At most `most` of the loaded records.
    fn give_loaded(&mut self, most: usize) -> Vec<Fetched> {
        let records: Vec<_> = self.loaded.drain(..most.min(self.loaded.len())).collect();
        for record in &records {
            let at = record.at();
            let here = |next: &&mut Position| next.topic == at.topic && next.partition == at.partition;
            if let Some(next) = self.next.iter_mut().find(here) {
                next.offset = at.offset + 1;
            }
        }
        records
    }
}

/// Waits for `notify` until `deadline`. Returns whether it was notified.
pub(super) async fn notified(notify: &Notify, deadline: Instant) -> bool {
    tokio::time::timeout_at(deadline, notify.notified()).await.is_ok()
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
            if self.loading.as_ref().is_some_and(|(_, load)| load.is_finished()) {
                self.finish_loading().await?;
            }
            if !self.loaded.is_empty() {
                return Ok(self.give_loaded(most));
            }
            let records = self.ready(most)?;
            if !records.is_empty() {
                return Ok(records);
            }
            if self.loading.is_some() {
                self.finish_loading().await?;
            } else if !notified(&self.notify, deadline).await {
                return Ok(records);
            }
        }
    }

    fn positions(&self) -> Vec<Position> {
        self.next.clone()
    }
}
