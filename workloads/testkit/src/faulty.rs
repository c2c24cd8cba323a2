//! A log that fails on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{
    Commit, EventLog, GroupBatch, GroupReader, LogError, LogReader, ReplacedTopic,
};
use kbnt_application::{Append, Position, Service, Topic};
use kbnt_domain::Span;
use tokio::sync::watch;

/// Passes everything on to another log, unless it is told otherwise.
pub struct Faulty {
    inner: Arc<dyn EventLog>,
    /// Appends that fail, each after having written the first half of its batch.
    pub torn_appends: AtomicUsize,
    /// Every append is refused for good.
    pub refuse: AtomicBool,
    /// Appends with a record that weighs more are refused.
    pub largest: AtomicUsize,
    /// Every append and read fails for now.
    pub away: Arc<AtomicBool>,
    /// Commits are swallowed.
    pub forget_commits: Arc<AtomicBool>,
    /// The group has not said yet what is whose.
    pub undecided: Arc<AtomicBool>,
    /// How often it was asked meanwhile.
    pub asked: Arc<AtomicUsize>,
    /// Appends wait while this is closed.
    open: watch::Sender<bool>,
    /// Appends that were begun.
    pub begun: AtomicUsize,
    /// How far apart batches should be, in milliseconds.
    pub pace: AtomicU64,
    /// Partitions whose records before an offset are gone; whoever reads is put there silently, as Kafka does.
    pub cut: Mutex<BTreeMap<(Topic, u32), u64>>,
    /// Partitions that end earlier than they do.
    pub short: Mutex<BTreeMap<(Topic, u32), u64>>,
    /// Topics that are others of the same name.
    pub replaced: Mutex<BTreeMap<Topic, TopicId>>,
    /// What was committed for these is of another topic of the name.
    pub stray_commits: Arc<Mutex<Vec<ReplacedTopic>>>,
}

impl Faulty {
    pub fn new(inner: impl EventLog) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::new(inner),
            torn_appends: AtomicUsize::new(0),
            refuse: AtomicBool::new(false),
            largest: AtomicUsize::new(usize::MAX),
            away: Arc::default(),
            forget_commits: Arc::default(),
            undecided: Arc::default(),
            asked: Arc::default(),
            open: watch::channel(true).0,
            begun: AtomicUsize::new(0),
            pace: AtomicU64::new(0),
            cut: Mutex::default(),
            short: Mutex::default(),
            replaced: Mutex::default(),
            stray_commits: Arc::default(),
        })
    }

    /// Lets appends through, or keeps them waiting.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

fn away() -> LogError {
    LogError::Unavailable("on purpose".into())
}

#[async_trait]
impl EventLog for Faulty {
    async fn append(&self, mut batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        if self.refuse.load(Ordering::SeqCst) {
            return Err(LogError::Refused("on purpose".into()));
        }
        let largest = self.largest.load(Ordering::SeqCst);
        if batch.iter().any(|append| append.weight() > largest) {
            return Err(LogError::TooLarge("on purpose".into()));
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        let torn = self.torn_appends.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if torn.is_ok() {
            batch.truncate(batch.len() / 2);
            self.inner.append(batch).await?;
            return Err(away());
        }
        self.inner.append(batch).await
    }

    fn pace(&self) -> Span {
        Span::from_millis(self.pace.load(Ordering::SeqCst))
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        let bounds = self.inner.bounds(topic, partition).await?;
        let of = |all: &Mutex<BTreeMap<_, u64>>| all.lock().unwrap().get(&(topic, partition)).copied();
        Ok(Bounds {
            first: of(&self.cut).unwrap_or(bounds.first),
            end: of(&self.short).unwrap_or(bounds.end),
        })
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        let replaced = self.replaced.lock().unwrap().get(&topic).copied();
        if let Some(id) = replaced { Ok(id) } else { self.inner.topic_id(topic).await }
    }

    async fn read(&self, mut from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        for at in &mut from {
            let first = self.cut.lock().unwrap().get(&(at.topic, at.partition)).copied();
            at.offset = at.offset.max(first.unwrap_or_default());
        }
        self.inner.read(from).await
    }

    /// Its faults stay behind.
    fn with_bytes(&self) -> Arc<dyn EventLog> {
        self.inner.with_bytes()
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        let inner = self.inner.join(service).await?;
        Ok(Box::new(FaultyMember {
            inner,
            away: Arc::clone(&self.away),
            forget: Arc::clone(&self.forget_commits),
            undecided: Arc::clone(&self.undecided),
            asked: Arc::clone(&self.asked),
            stray_commits: Arc::clone(&self.stray_commits),
        }))
    }
}

struct FaultyMember {
    inner: Box<dyn GroupReader>,
    away: Arc<AtomicBool>,
    forget: Arc<AtomicBool>,
    undecided: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    stray_commits: Arc<Mutex<Vec<ReplacedTopic>>>,
}

#[async_trait]
impl GroupReader for FaultyMember {
    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        if self.undecided.load(Ordering::SeqCst) {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            return Ok(GroupBatch::Records(Vec::new()));
        }
        let mut batch = self.inner.next(most, wait).await?;
        if let GroupBatch::Assigned(assigned) = &mut batch {
            let stray = self.stray_commits.lock().unwrap().clone();
            for assignment in assigned {
                assignment.committed.retain(|c| stray.iter().all(|stray| stray.topic != c.next.topic));
                assignment.replaced.clone_from(&stray);
            }
        }
        Ok(batch)
    }

    async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError> {
        if self.forget.load(Ordering::SeqCst) { Ok(()) } else { self.inner.commit(commits).await }
    }

    async fn leave(self: Box<Self>) -> Result<(), LogError> {
        self.inner.leave().await
    }
}
