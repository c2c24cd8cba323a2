//! All partitions, the commits of the groups, and the journal if the log is durable.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use kbnt_application::intact::TopicId;
use kbnt_application::ports::{Commit, LogError, RawRecord};
use kbnt_application::{Position, Service, Topic};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::group::Groups;
use super::journal::{
    Access, Commits, Committer, Home, Loaded, Offsets, OpenError, Place, Proof, Publish, Recovery, Segments,
    Short, Submission, cut, keep_id, read_id, recover,
};
use super::partition::{Entry, Found, Partition};
use super::wake::Waiters;
use super::window::Window;

/// Lines of application-logs that are kept per partition.
const LINES_KEPT: usize = 10_000;

/// Records per partition of a durable log that are also kept in memory, for readers at its end.
const RECORDS_KEPT: usize = 4_000;

/// The log's contents.
pub(super) struct Store {
    pub(super) partitions: Arc<Partitions>,
    commits: Mutex<Commits>,
    pub(super) groups: Groups,
    /// The id of the log.
    pub(super) id: Uuid,
    kind: Kind,
    pub(super) recovery: Recovery,
}

/// What happens to an append.
enum Kind {
    /// It stays in memory, as long as it is among the newest.
    InMemory(Window),
    /// It is refused.
    ReadOnly,
    /// It is written to the journal before it is acknowledged.
    Durable(Durable),
}

/// All partitions, with the readers that wait for records in them.
pub(super) struct Partitions {
    all: Vec<Vec<Partition>>,
    pub(super) waiters: Waiters,
    segments: Option<Arc<Segments>>,
}

/// The parts of a durable log, in the order in which they are dropped.
struct Durable {
    committer: Committer,
    offsets: Offsets,
    segments: Arc<Segments>,
    home: Arc<Home>,
}

/// Topics whose lost records the services restore: their content follows entirely from the others.
const MADE_GOOD: [Topic; 2] = [Topic::NotificationEvents, Topic::AuditLogs];

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

    /// Registers a record that was found in the journal. Returns whether it is the next one of its partition.
    fn recovered(&self, at: Position, place: Place) -> bool {
        self.get(at.topic, at.partition).is_ok_and(|partition| partition.recovered(at.offset, place))
    }

    /// Partitions that end before their durable end, or before a commit.
    fn short(&self, ends: &[Position], commits: &Commits) -> Vec<Short> {
        let mut wanted: BTreeMap<(Topic, u32), u64> = BTreeMap::new();
        for at in ends.iter().chain(commits.values().map(|commit| &commit.next)) {
            let offset = wanted.entry((at.topic, at.partition)).or_default();
            *offset = at.offset.max(*offset);
        }
        let short = |((topic, partition), wanted): ((Topic, u32), u64)| {
            let end = Position { topic, partition, offset: self.end(topic, partition) };
            (end.offset < wanted).then_some(Short { end, wanted })
        };
        wanted.into_iter().filter_map(short).collect()
    }

    /// The records at these places in the journal.
    pub(super) fn stored(&self, places: &[Place]) -> Result<Vec<(Position, RawRecord)>, LogError> {
        let Some(segments) = &self.segments else { return Ok(Vec::new()) };
        places.iter().map(|place| segments.read(*place).map(|stored| (stored.at, stored.record))).collect()
    }

    /// At most `most` records of a partition from `offset`, as bytes.
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
        self.waiters.notify(topics);
    }
}

impl Store {
    pub(super) fn in_memory(most: usize) -> Self {
        Self {
            partitions: Arc::new(Partitions::new(usize::MAX, None)),
            commits: Mutex::default(),
            groups: Groups::default(),
            id: Uuid::new_v4(),
            kind: Kind::InMemory(Window::new(most)),
            recovery: Recovery::default(),
        }
    }

    /// Opens the log in `directory`, which is created if it does not exist.
    pub(super) fn open(directory: &Path) -> Result<Self, OpenError> {
        std::fs::create_dir_all(directory).map_err(OpenError::io(directory))?;
        let home = Arc::new(Home::take(directory)?);
        let segments = Arc::new(Segments::open(directory, Access::Write)?);
        let partitions = Arc::new(Partitions::new(RECORDS_KEPT, Some(Arc::clone(&segments))));
        let loaded = Offsets::load(directory);
        let (end, mut recovery) = recover(&segments, |at, place| partitions.recovered(at, place))?;
        let id = keep_id(&home, loaded.log);
        recovery.proof = loaded.proof(Some(id));
        let Loaded { log, ends, commits, .. } = loaded;
        let is_of_this = log == Some(id);
        if is_of_this {
            recovery.short = partitions.short(&ends, &commits);
        } else if log.is_some() {
            tracing::warn!(
                operation = "offsets-refused", directory = %directory.display(),
                "offsets.json is of another log; the services read everything again"
            );
        }
        if recovery.short.iter().any(|short| !MADE_GOOD.contains(&short.end.topic)) {
            return Err(OpenError::Short { directory: directory.to_owned(), short: recovery.short });
        }
        for short in &recovery.short {
            tracing::warn!(
                operation = "log-short", directory = %directory.display(),
                "{short}; the services read everything again and make them good"
            );
        }
        if let Some(torn) = &recovery.torn {
            cut(&segments, torn)?;
        }
        // The commits may rest on answers that are lost.
        let commits = if is_of_this && recovery.short.is_empty() { commits } else { Commits::new() };
        let publish = Arc::clone(&partitions) as Arc<dyn Publish>;
        let committer = Committer::start(Arc::clone(&home), Arc::clone(&segments), end, Arc::clone(&publish))
            .map_err(OpenError::io(directory))?;
        let offsets = Offsets::start(id, Arc::clone(&home), Arc::clone(&segments), publish, commits.clone())?;
        let durable = Durable { committer, offsets, segments, home };
        let (commits, kind) = (Mutex::new(commits), Kind::Durable(durable));
        Ok(Self { partitions, commits, groups: Groups::default(), id, kind, recovery })
    }

    /// Opens the log in `directory`, even if another process has it open. Creates, changes and locks nothing.
    pub(super) fn open_to_read(directory: &Path) -> Result<Self, OpenError> {
        if !holds_log(directory)? {
            return Err(OpenError::NothingThere(directory.to_owned()));
        }
        // These commits cannot be ahead of the records, which are read after them.
        let loaded = Offsets::load(directory);
        let segments = Arc::new(Segments::open(directory, Access::Read)?);
        let partitions = Arc::new(Partitions::new(RECORDS_KEPT, Some(Arc::clone(&segments))));
        let (_, mut recovery) = recover(&segments, |at, place| partitions.recovered(at, place))?;
        let id = read_id(directory);
        recovery.proof = loaded.proof(id);
        if recovery.proof == Proof::Given {
            recovery.short = partitions.short(&loaded.ends, &loaded.commits);
        }
        let id = id.or(loaded.log).unwrap_or_else(Uuid::new_v4);
        let groups = Groups::default();
        Ok(Self { partitions, commits: Mutex::default(), groups, id, kind: Kind::ReadOnly, recovery })
    }

    /// Why the log cannot be written now, or how its files were changed.
    pub(super) fn trouble(&self) -> Option<String> {
        let Kind::Durable(Durable { committer, segments, home, .. }) = &self.kind else { return None };
        let check = home.check().and_then(|()| segments.check_all());
        check.err().map(|error| error.to_string()).or_else(|| committer.trouble())
    }

    /// The id of a topic, which is that of this log.
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
        let durable = match &self.kind {
            Kind::Durable(durable) => durable,
            Kind::InMemory(window) => return Ok(self.keep(window, entries)),
            Kind::ReadOnly => return Err(LogError::Refused("it is open for reading only".to_owned())),
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

    /// Adds `entries` in memory.
    fn keep(&self, window: &Window, entries: Vec<(Topic, u32, Entry)>) -> Vec<Position> {
        let topics = entries.iter().map(|(topic, ..)| *topic).collect();
        let positions = window.push(&self.partitions, entries, |at| self.is_read(at));
        self.partitions.waiters.notify(topics);
        positions
    }

    /// Whether every group that somebody has joined is past this record.
    fn is_read(&self, at: Position) -> bool {
        let commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let is_past = |service: Service| {
            let committed = commits.get(&(service, at.topic, at.partition));
            committed.is_some_and(|commit| commit.next.offset > at.offset)
        };
        let joined = self.groups.joined();
        joined.into_iter().filter(|service| service.inputs().contains(&at.topic)).all(is_past)
    }

    /// Adds a log line in memory. Returns whether the partition exists.
    pub(super) fn keep_line(&self, topic: Topic, partition: u32, entry: Entry) -> bool {
        let Ok(partition) = self.partitions.get(topic, partition) else { return false };
        partition.push(entry, None);
        self.partitions.waiters.notify(std::iter::once(topic).collect());
        true
    }

    /// The commits of `service` for a partition number of its inputs.
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
        if let Kind::Durable(durable) = &self.kind {
            durable.offsets.write_soon(&all);
        }
    }
}

/// Whether the directory has a log, even an empty one.
pub(super) fn holds_log(directory: &Path) -> Result<bool, OpenError> {
    if !directory.is_dir() {
        return Ok(false);
    }
    let segments = Segments::open(directory, Access::Read)?;
    Ok(segments.count() > 0 || Home::was_taken(directory) || read_id(directory).is_some())
}
