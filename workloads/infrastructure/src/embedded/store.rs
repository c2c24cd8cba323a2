//! All partitions, what the groups have committed, and the journal if the log is durable.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kbnt_application::intact::TopicId;
use kbnt_application::ports::{Commit, LogError, RawRecord};
use kbnt_application::{Position, Service, Topic};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::group::Groups;
use super::journal::{
    Commits, Committer, Offsets, OpenError, Place, Publish, Recovery, Segments, Submission, recover,
};
use super::partition::{Entry, Found, Partition};
use super::wake::Waiters;

/// Lines of application-logs that are kept, a partition.
const LINES_KEPT: usize = 10_000;

/// Records of a durable log that are kept in memory too, a partition, for those who read its end.
const RECORDS_KEPT: usize = 4_000;

/// The log's contents.
pub(super) struct Store {
    pub(super) partitions: Arc<Partitions>,
    commits: Mutex<Commits>,
    pub(super) groups: Groups,
    durable: Option<Durable>,
    pub(super) recovery: Recovery,
    /// Which log it is.
    id: Uuid,
}

/// All partitions, and who waits for records in them.
pub(super) struct Partitions {
    all: Vec<Vec<Partition>>,
    pub(super) waiters: Waiters,
    segments: Option<Arc<Segments>>,
}

/// What makes a log durable; let go in this order.
struct Durable {
    committer: Committer,
    offsets: Offsets,
    /// Held as long as the directory is ours.
    _lock: File,
}

impl Partitions {
    fn new(kept: usize, segments: Option<Arc<Segments>>) -> Self {
        let of = |topic: Topic| {
            let kept = if topic == Topic::ApplicationLogs { LINES_KEPT } else { kept };
            (0..topic.partitions()).map(|number| Partition::new(topic, number, kept)).collect()
        };
        Self { all: Topic::ALL.into_iter().map(of).collect(), waiters: Waiters::default(), segments }
    }

    pub(super) fn get(&self, topic: Topic, number: u32) -> Result<&Partition, LogError> {
        let partitions = self.all.get(topic as usize);
        partitions
            .and_then(|partitions| partitions.get(number as usize))
            .ok_or_else(|| LogError::NoSuchPartition { topic: topic.name().to_owned(), partition: number })
    }

    /// Records that lie in the journal.
    pub(super) fn stored(&self, places: &[Place]) -> Result<Vec<(Position, RawRecord)>, LogError> {
        let Some(segments) = &self.segments else { return Ok(Vec::new()) };
        places.iter().map(|place| segments.read(*place).map(|stored| (stored.at, stored.record))).collect()
    }

    /// At most `most` records of a partition from `offset` on, as bytes.
    pub(super) fn raw(&self, at: Position, most: usize) -> Result<Vec<(u64, RawRecord)>, LogError> {
        match self.get(at.topic, at.partition)?.find(at.offset, most) {
            Found::Kept(entries) => {
                entries.into_iter().map(|(offset, entry)| Ok((offset, entry.raw()?))).collect()
            }
            Found::Stored(places) => {
                let stored = self.stored(&places)?;
                Ok(stored.into_iter().map(|(at, record)| (at.offset, record)).collect())
            }
        }
    }
}

impl Publish for Partitions {
    fn end(&self, topic: Topic, partition: u32) -> u64 {
        self.get(topic, partition).map_or(0, Partition::end)
    }

    fn publish(&self, records: Vec<(Position, Entry, Place)>) {
        let topics = records.iter().map(|(at, ..)| at.topic).collect();
        for (at, entry, place) in records {
            if let Ok(partition) = self.get(at.topic, at.partition) {
                partition.push(entry, Some(place));
            }
        }
        self.waiters.ring(topics);
    }
}

impl Store {
    pub(super) fn in_memory() -> Self {
        Self {
            partitions: Arc::new(Partitions::new(usize::MAX, None)),
            commits: Mutex::default(),
            groups: Groups::default(),
            durable: None,
            recovery: Recovery::default(),
            id: Uuid::new_v4(),
        }
    }

    /// The log in `directory`, which is made if it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(directory).map_err(OpenError::io(directory))?;
        let lock = lock(directory)?;
        let segments = Arc::new(Segments::open(directory)?);
        let partitions = Arc::new(Partitions::new(RECORDS_KEPT, Some(Arc::clone(&segments))));
        let (end, recovery) = recover(&segments, |at, place| {
            partitions
                .get(at.topic, at.partition)
                .is_ok_and(|partition| partition.recovered(at.offset, place))
        })?;
        let mut commits = Offsets::load(directory);
        commits.retain(|_, commit| {
            // A copy of an older journal may end before what was committed.
            let end = partitions.end(commit.next.topic, commit.next.partition);
            commit.next.offset <= end
        });
        let publish = Arc::clone(&partitions) as Arc<dyn Publish>;
        let committer = Committer::start(segments, end, publish).map_err(OpenError::io(directory))?;
        let offsets = Offsets::start(directory)?;
        Ok(Self {
            partitions,
            commits: Mutex::new(commits),
            groups: Groups::default(),
            durable: Some(Durable { committer, offsets, _lock: lock }),
            recovery,
            id: Uuid::new_v4(),
        })
    }

    /// Which topic of this name it is: the one of this log.
    pub(super) fn topic_id(&self, topic: Topic) -> TopicId {
        TopicId::from_bytes(Uuid::new_v5(&self.id, topic.name().as_bytes()).into_bytes())
    }

    /// Writes `entries` in order.
    pub(super) async fn append(&self, entries: Vec<(Topic, u32, Entry)>) -> Result<Vec<Position>, LogError> {
        for (topic, partition, _) in &entries {
            self.partitions.get(*topic, *partition)?;
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let Some(durable) = &self.durable else {
            let topics = entries.iter().map(|(topic, ..)| *topic).collect();
            let push =
                |(topic, partition, entry)| Ok(self.partitions.get(topic, partition)?.push(entry, None));
            let positions = entries.into_iter().map(push).collect();
            self.partitions.waiters.ring(topics);
            return positions;
        };
        let mut records = Vec::with_capacity(entries.len());
        for (topic, partition, entry) in entries {
            let record = entry.raw()?;
            records.push((topic, partition, entry, record));
        }
        let (reply, answer) = oneshot::channel();
        durable.committer.submit(Submission { records, reply }).await?;
        answer.await.map_err(|_| LogError::Unavailable("the journal is closed".to_owned()))?
    }

    /// Keeps a log line in memory; whether there is such a partition.
    pub(super) fn keep_line(&self, topic: Topic, partition: u32, entry: Entry) -> bool {
        let Ok(partition) = self.partitions.get(topic, partition) else { return false };
        partition.push(entry, None);
        self.partitions.waiters.ring(std::iter::once(topic).collect());
        true
    }

    /// What `service` has committed for a partition number of its inputs.
    pub(super) fn committed(&self, service: Service, partition: u32) -> Vec<Commit> {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let of =
            |((of, _, number), _): &(&(Service, Topic, u32), &Commit)| *of == service && *number == partition;
        commits.iter().filter(of).map(|(_, commit)| commit.clone()).collect()
    }

    pub(super) fn commit(&self, service: Service, commits: Vec<Commit>) {
        let mut all = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(
            commits.into_iter().map(|commit| ((service, commit.next.topic, commit.next.partition), commit)),
        );
        if let Some(durable) = &self.durable {
            durable.offsets.write_soon(&all);
        }
    }
}

/// How long a directory that is in use may take to become free: a process that was killed a moment ago is still ending.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Takes the directory for this process.
fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("lock");
    let file = File::create(&path).map_err(OpenError::io(&path))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(OpenError::Io { path, error }),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(OpenError::InUse(directory.to_owned()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
