//! Checkpoints of the history of orders.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kbnt_application::history::{Batch, Fold, Progress, Search, StoredOrder};
use kbnt_application::ports::{HistoryError, HistorySize, HistoryStore};
use kbnt_application::projections::{OrderEntry, Page};
use kbnt_domain::{OrderId, Timestamp};
use object_store::PutPayload;

use super::fetch::Fetching;
use super::keep::Before;
use super::manifest::{Content, Manifest, Pack};
use super::pace::Pace;
use super::{CheckpointError, CheckpointEvent, Checkpoints, KEPT, Kept, MARK, PACKS_MOST, SNAPSHOT, Taken};
use crate::history::copy::Block;
use crate::history::{SqliteHistory, blocking, progress_of};
use crate::metrics::Metrics;

/// A history on disk. A start for which there is none, or none that is of use, begins with a checkpoint.
pub struct CheckpointedHistory {
    store: SqliteHistory,
    checkpoints: Arc<Checkpoints>,
    pace: Arc<Pace>,
    /// How many of the newest checkpoints were tried.
    tried: Arc<AtomicUsize>,
    /// What the history was as of when it was opened.
    opened: Mutex<Option<Timestamp>>,
    metrics: Arc<Metrics>,
}

impl CheckpointedHistory {
    /// Checkpoints of this history, at most this often.
    pub fn new(
        store: SqliteHistory,
        checkpoints: Checkpoints,
        every: Duration,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            store,
            pace: Arc::new(Pace::new(checkpoints.service(), every, Arc::clone(&metrics)).by_turns()),
            checkpoints: Arc::new(checkpoints),
            tried: Arc::default(),
            opened: Mutex::default(),
            metrics,
        }
    }

    /// Fetches the newest checkpoint that was not tried; whether there was one.
    async fn fetch(&self) -> Result<bool, CheckpointError> {
        let tried = self.tried.fetch_add(1, Ordering::Relaxed);
        let Some(manifest) = self.checkpoints.newest(tried).await? else { return Ok(false) };
        let started = Instant::now();
        self.checkpoints.fetch_history(&manifest, &self.store).await?;
        let (taken, number, orders) = (manifest.taken(), manifest.number(), manifest.orders());
        let event = CheckpointEvent::Fetched { taken, number, orders, took: started.elapsed() };
        self.metrics.checkpoint(self.checkpoints.service(), &event);
        Ok(true)
    }

    /// The progress of what is there, or else of a checkpoint.
    async fn begin(&self) -> Result<Progress, HistoryError> {
        if self.store.is_there() {
            let progress = self.store.progress().await?;
            if progress.revision > 0 {
                return Ok(progress);
            }
        }
        while self.tried.load(Ordering::Relaxed) < KEPT {
            match self.fetch().await {
                Ok(true) => break,
                Ok(false) => self.tried.store(KEPT, Ordering::Relaxed),
                Err(error) => tracing::warn!(
                    operation = "checkpoint-refused",
                    service = self.checkpoints.service().name(),
                    %error,
                    class = ?error.class(),
                    "the history of orders does not begin with this checkpoint"
                ),
            }
        }
        self.store.progress().await
    }

    /// Keeps a checkpoint beside the work, if one is due and none is under way.
    fn keep_checkpoint(&self, as_of: Timestamp) {
        if !self.pace.is_due() {
            return;
        }
        let (store, checkpoints) = (self.store.clone(), Arc::clone(&self.checkpoints));
        let (pace, tried) = (Arc::clone(&self.pace), Arc::clone(&self.tried));
        pace.begin();
        tokio::spawn(async move {
            let keep = checkpoints.keep_history(&store);
            if pace.keep(&checkpoints, as_of, keep).await {
                // The newest one is of this history now.
                tried.store(0, Ordering::Relaxed);
            }
        });
    }
}

#[async_trait]
impl HistoryStore for CheckpointedHistory {
    async fn progress(&self) -> Result<Progress, HistoryError> {
        let progress = self.begin().await?;
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = progress.as_of;
        Ok(progress)
    }

    async fn stored(&self, orders: Vec<OrderId>) -> Result<HashMap<OrderId, StoredOrder>, HistoryError> {
        self.store.stored(orders).await
    }

    async fn apply(&self, batch: Batch) -> Result<(), HistoryError> {
        let as_of = batch.progress.as_of;
        self.store.apply(batch).await?;
        // As long as it is what it was, the history is being built, and there may be a newer checkpoint.
        let opened = *self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(as_of) = as_of.filter(|as_of| Some(*as_of) != opened) {
            self.metrics.history_applied(as_of);
            self.keep_checkpoint(as_of);
        }
        Ok(())
    }

    async fn get(&self, order: OrderId) -> Result<Option<OrderEntry>, HistoryError> {
        self.store.get(order).await
    }

    async fn search(&self, search: Search) -> Result<Page, HistoryError> {
        self.store.search(search).await
    }

    async fn expire(&self, before: Timestamp, most: usize) -> Result<usize, HistoryError> {
        self.store.expire(before, most).await
    }

    async fn reset(&self) -> Result<(), HistoryError> {
        self.store.reset().await
    }

    async fn size(&self) -> Result<HistorySize, HistoryError> {
        self.store.size().await
    }
}

/// What is to be known of a history that has come so far.
fn taken(progress: &Progress) -> Result<Taken, HistoryError> {
    let reads = Fold::resume(progress.clone()).map_err(|error| HistoryError::Foreign(error.to_string()))?;
    Ok(Taken { at: progress.as_of.unwrap_or_default(), reads: reads.positions(), marks: Vec::new() })
}

impl Checkpoints {
    /// Keeps a history as it is now, while it goes on; then older checkpoints are deleted. What it was as of, and what was kept.
    ///
    /// # Errors
    /// The place cannot be written, or is one of something else; somebody else was faster; the history cannot be read, or was found
    /// damaged; more is written to it than may wait. The checkpoint before is not touched by that.
    pub async fn keep_history(&self, history: &SqliteHistory) -> Result<(Timestamp, Kept), CheckpointError> {
        self.place.prepare(&MARK).await?;
        let before = self.before().await?;
        let there: HashMap<String, u64> =
            self.place.list(&self.folder(self.packs), self.packs.ending).await?.into_iter().collect();
        let mut kept = Kept { number: before.number + 1, ..Kept::default() };
        let mut copy = history.copy().await?;
        let taken = taken(copy.progress())?;
        let snapshot = copy.progress_bytes()?;
        let mut packs = Vec::new();
        loop {
            let waiting = copy.log_bytes();
            if waiting > self.waiting_most {
                return Err(CheckpointError::Overtaken(waiting));
            }
            let block;
            (copy, block) = blocking(move || {
                let block = copy.next()?;
                Ok((copy, block))
            })
            .await?;
            let Some(block) = block else { break };
            if packs.len() == PACKS_MOST {
                let most = PACKS_MOST as u64;
                return Err(CheckpointError::TooLarge { of: "packs of orders", found: most + 1, most });
            }
            packs.push(self.keep_block(block, &before, &there, &mut kept).await?);
        }
        if !history.has_gone_on(&copy) {
            return Err(HistoryError::Unavailable("it is being built anew".to_owned()).into());
        }
        drop(copy);
        let content = Content::of(&snapshot);
        let mut manifest =
            Manifest::new(self.service, kept.number, &taken, before.sha256, Vec::new(), content);
        manifest.first = packs.first().map_or(0, |pack| pack.first);
        manifest.packs = packs;
        self.conclude(&manifest, snapshot, &mut kept).await?;
        self.whole().clear();
        Ok((taken.at, kept))
    }

    fn whole(&self) -> MutexGuard<'_, HashSet<String>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a block, unless the checkpoint before has it, or an upload that came to nothing.
    async fn keep_block(
        &self,
        block: Block,
        before: &Before,
        there: &HashMap<String, u64>,
        kept: &mut Kept,
    ) -> Result<Pack, CheckpointError> {
        let Block { first, numbers, bytes } = block;
        let Content { bytes: size, sha256 } = Content::of(&bytes);
        let named = before.packs.get(&first);
        if let Some(pack) = named.filter(|pack| pack.orders == numbers && pack.sha256 == sha256) {
            kept.packs_there += 1;
            return Ok(pack.clone());
        }
        let pack = Pack { number: kept.number, first, orders: numbers, bytes: size, sha256, chunks: None };
        let name = pack.name();
        let object = self.object(self.packs, &name);
        let is_there = there.get(&name) == Some(&size)
            && (self.whole().contains(&name)
                || self.place.has(&object, &PutPayload::from(bytes.clone())).await?);
        if is_there {
            kept.packs_there += 1;
        } else {
            self.write(self.packs, &name, bytes, kept).await?;
            kept.packs_written += 1;
        }
        let mut whole = self.whole();
        if whole.len() == PACKS_MOST {
            whole.clear();
        }
        whole.insert(name);
        Ok(pack)
    }

    /// Puts the orders of a checkpoint in place of a history.
    ///
    /// # Errors
    /// The place cannot be read; an object is missing, or is not what was written; the disk cannot be written. What is there stays then.
    pub async fn fetch_history(
        &self,
        manifest: &Manifest,
        history: &SqliteHistory,
    ) -> Result<(), CheckpointError> {
        let Content { bytes, sha256 } = &manifest.snapshot;
        let progress = self.read(SNAPSHOT, &manifest.snapshot_name(), *bytes, sha256).await?;
        progress_of(&progress)?;
        let mut filling = history.filling().await?;
        let mut fetching = Fetching::begin(manifest, "the history of orders");
        for pack in &manifest.packs {
            let Pack { first, orders, .. } = *pack;
            let bytes = self.read(self.packs, &pack.name(), pack.bytes, &pack.sha256).await?;
            filling = blocking(move || {
                filling.add(first, orders, &bytes)?;
                Ok(filling)
            })
            .await?;
            fetching.passed();
        }
        Ok(history.install(filling, progress).await?)
    }
}
