//! The log as one service may use it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::try_join_all;
use kbnt_application::intact::{Bounds, Damage, Fault, Integrity, TopicId};
use kbnt_application::message::Classification;
use kbnt_application::ports::{EventLog, Fetched, GroupReader, LogError, LogReader};
use kbnt_application::{Append, Position, Service, Topic};
use kbnt_domain::Span;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reader::{GuardedMember, GuardedReader};
use super::report;

/// How often to check the topics' ids.
const LOOK: Duration = Duration::from_secs(1);

/// How many of the newest records of each partition to read, to find out how far the topics had come.
const NEWEST: u64 = 100;

/// How many causes cited by the newest records are kept per partition.
const CITATIONS: usize = 100;

/// At least this many of the newest citations of a partition must contradict it, and three in four: the
/// writer of a record may cite anything as its cause, and no single record is believed.
const CONTRADICTIONS: usize = 2;

/// How long reading these records may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one read of them waits.
const WAIT: Span = Span::from_millis(200);

/// Every this many checks, the records that are known to exist are checked, too.
const DEEP: u32 = 5;

/// A log on which a service can rely: it refuses reads and writes once it is not the one that the service
/// knows. Cheap to clone.
#[derive(Clone)]
pub struct Guarded {
    guard: Arc<Guard>,
    /// The same log, as the service reads it.
    read: Arc<dyn EventLog>,
    /// Whether its readers pass over what is cut.
    passes_over: bool,
}

/// One service's knowledge of the log.
pub(super) struct Guard {
    pub(super) service: Service,
    pub(super) log: Arc<dyn EventLog>,
    integrity: Arc<Integrity>,
    topics: BTreeSet<Topic>,
    known: Mutex<Known>,
    verdict: watch::Sender<Option<Damage>>,
}

#[derive(Default)]
struct Known {
    ids: BTreeMap<Topic, TopicId>,
    /// The offset after the last record that is known to have existed.
    ends: BTreeMap<(Topic, u32), u64>,
    /// When a cause was last looked up.
    looked: BTreeMap<(Topic, u32), Instant>,
    /// Causes that the next check must find.
    causes: BTreeMap<(Topic, u32), u64>,
    /// The causes that the newest records cite, by the topic of the record, and the partition and topic of the
    /// cause.
    citations: BTreeMap<(Topic, u32, Topic), VecDeque<u64>>,
    /// Partitions about which a record has cited something untrue.
    doubted: BTreeSet<(Topic, u32)>,
    /// The newest records agree with each other.
    agrees: bool,
    /// A service that has been at work for a while need not look up every cause at once.
    settled: bool,
    /// Ends that were too early at the last deep check.
    suspects: BTreeSet<(Topic, u32)>,
}

impl Guarded {
    /// `log` for use by `service`; damage goes to `integrity`.
    pub fn new(log: Arc<dyn EventLog>, service: Service, integrity: Arc<Integrity>) -> Self {
        let topics: BTreeSet<Topic> = service.inputs().iter().copied().chain([service.output()]).collect();
        integrity.watch(&topics.iter().copied().collect::<Vec<_>>());
        let (verdict, known) = (watch::channel(None).0, Mutex::default());
        let read = Arc::clone(&log);
        let guard = Arc::new(Guard { service, log, integrity, topics, known, verdict });
        Self { guard, read, passes_over: false }
    }

    /// The same for who decides nothing, and passes over records of event stores that were cut before it has read them.
    #[must_use]
    pub fn passing_over(self) -> Self {
        Self { passes_over: true, ..self }
    }

    /// Checks the service's topics until `shutdown`.
    pub async fn watch(self, shutdown: CancellationToken) {
        let guard = self.guard;
        for look in 1_u32.. {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = guard.look(look.is_multiple_of(DEEP)) => {}
            }
        }
    }
}

impl Guard {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails once the service's topics are damaged, whichever service of the process has found that out.
    pub(super) fn check(&self) -> Result<(), LogError> {
        let own = *self.verdict.borrow();
        let damage = own.or_else(|| self.integrity.damage_of(&self.topics));
        damage.map_or(Ok(()), |damage| Err(damage.into()))
    }

    /// Runs `work` unless damage is found meanwhile.
    pub(super) async fn unless_damaged<T>(
        &self,
        work: impl Future<Output = Result<T, LogError>>,
    ) -> Result<T, LogError> {
        let mut verdict = self.verdict.subscribe();
        let damaged = async {
            let found = verdict.wait_for(Option::is_some).await.map(|damage| *damage);
            found.ok().flatten()
        };
        tokio::select! {
            biased;
            Some(damage) = damaged => Err(damage.into()),
            done = work => done,
        }
    }

    /// Records damage: from now on the service neither reads nor writes.
    pub(super) fn damaged(&self, topic: Topic, fault: Fault) -> LogError {
        let damage = Damage { service: self.service, topic, fault };
        if self.integrity.note(damage) {
            report::damaged(damage);
        }
        self.verdict.send_if_modified(|verdict| {
            let first = verdict.is_none();
            verdict.get_or_insert(damage);
            first
        });
        damage.into()
    }

    /// Whether the service uses the records of this topic.
    pub(super) fn uses(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }

    /// Checks that `topic` is the known one. A topic that does not exist yet has nothing that could be
    /// missing.
    async fn identify(&self, topic: Topic) -> Result<(), LogError> {
        let id = match self.log.topic_id(topic).await {
            Ok(id) => id,
            Err(LogError::NoSuchPartition { .. }) => {
                if self.known().ids.contains_key(&topic) {
                    self.note_presence(topic, false);
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let expected = self.integrity.given(topic);
        let expected = *self.known().ids.entry(topic).or_insert(expected.unwrap_or(id));
        self.note_presence(topic, true);
        if expected == id {
            Ok(())
        } else {
            Err(self.damaged(topic, Fault::Replaced { known: expected, found: id }))
        }
    }

    fn note_presence(&self, topic: Topic, present: bool) {
        if self.integrity.note_presence(topic, present) {
            report::presence(topic, present);
        }
    }

    /// The bounds of a partition; `None` if it does not exist yet.
    pub(super) async fn bounds(&self, at: Position) -> Result<Option<Bounds>, LogError> {
        match self.log.bounds(at.topic, at.partition).await {
            Ok(bounds) => Ok(Some(bounds)),
            Err(LogError::NoSuchPartition { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Checks whether a reader that continues at `from` misses records. Returns where it will really read.
    pub(super) async fn check_start(&self, from: Position) -> Result<Position, LogError> {
        self.check_next(from, false).await
    }

    /// The same for one that passes over what is cut, if it does.
    pub(super) async fn check_next(&self, from: Position, passes_over: bool) -> Result<Position, LogError> {
        let Some(bounds) = self.bounds(from).await? else { return Ok(from) };
        let missed = match bounds.passed_over(from) {
            Err(Fault::Cut { wanted, found, .. }) if passes_over => Ok(found - wanted),
            missed => missed,
        };
        match missed {
            Ok(0) => {}
            Ok(records) => {
                self.integrity.note_passed_over(from.topic, records);
                report::expired(self.service, from, records);
            }
            Err(fault) => return Err(self.damaged(from.topic, fault)),
        }
        Ok(Position { offset: from.offset.max(bounds.first), ..from })
    }

    /// Checks for damage when records arrive from before `expected`; a client may also read records twice.
    pub(super) async fn moved_back(&self, expected: Position) -> Result<(), LogError> {
        self.identify(expected.topic).await?;
        self.check_start(expected).await.map(drop)
    }

    /// Checks that all topics are the known ones.
    pub(super) async fn identify_all(&self) -> Result<(), LogError> {
        try_join_all(self.topics.iter().map(|topic| self.identify(*topic))).await.map(drop)
    }

    /// Where the caller continues in a partition for which it has committed `at`; `None` for the first
    /// record.
    pub(super) async fn check_committed(&self, at: Position) -> Result<Option<Position>, LogError> {
        let Some(bounds) = self.bounds(at).await? else { return Ok(Some(at)) };
        match bounds.passed_over(at) {
            Err(fault @ Fault::Short { .. }) => self.contradicted(at.topic, fault).await.map(|()| None),
            _ => self.check_start(at).await.map(Some),
        }
    }

    /// State beside the log contradicts the log: this is damage, unless somebody has named this very topic.
    /// In that case it begins anew.
    pub(super) async fn contradicted(&self, topic: Topic, fault: Fault) -> Result<(), LogError> {
        self.identify(topic).await?;
        let Some(id) = self.integrity.given(topic) else { return Err(self.damaged(topic, fault)) };
        tracing::warn!(
            operation = "log-adopted",
            service = self.service.name(),
            topic = topic.name(),
            partition = fault.partition(),
            topic_id = %id,
            "the topic is adopted as it is: {}", Damage { service: self.service, topic, fault }
        );
        Ok(())
    }

    /// Records the positions and causes of records that were read.
    pub(super) fn record_read(&self, records: &[Fetched]) {
        let mut known = self.known();
        for at in records.iter().map(Fetched::at) {
            let end = known.ends.entry((at.topic, at.partition)).or_default();
            *end = (*end).max(at.offset + 1);
        }
    }

    /// For each partition, the last cause of these records that has not been seen there yet. If one was
    /// looked up a moment ago and the service is at work, the cause waits for the next check: new records
    /// arrive all the time, and readers are never at quite the same point.
    pub(super) fn unseen_causes(&self, records: &[Fetched]) -> Vec<Position> {
        let mut known = self.known();
        let mut unseen = BTreeMap::<(Topic, u32), u64>::new();
        for fetched in records {
            let Fetched::Record(record) = fetched else { continue };
            let Some(cause) = record.answers().filter(|cause| self.uses(cause.topic)) else { continue };
            let citations =
                known.citations.entry((record.at.topic, cause.partition, cause.topic)).or_default();
            citations.push_back(cause.offset);
            if citations.len() > CITATIONS {
                citations.pop_front();
            }
            let place = (cause.topic, cause.partition);
            if known.ends.get(&place).is_none_or(|end| *end <= cause.offset) {
                let last = unseen.entry(place).or_default();
                *last = (*last).max(cause.offset);
            }
        }
        let mut now = Vec::new();
        for (place, offset) in unseen {
            let rested = known.looked.get(&place).is_none_or(|at| at.elapsed() >= LOOK);
            if rested || !known.settled {
                now.push(Position { topic: place.0, partition: place.1, offset });
            } else {
                let last = known.causes.entry(place).or_default();
                *last = (*last).max(offset);
            }
        }
        now
    }

    /// Checks that the causes of the newest records of all topics exist: if a topic was recreated while the
    /// service was down, the records that answer it still say how far it had come.
    pub(super) async fn check_newest(&self) -> Result<(), LogError> {
        if self.known().agrees {
            return Ok(());
        }
        let (mut from, mut ends) = (Vec::new(), Vec::new());
        for topic in self.topics.iter().copied() {
            for partition in 0..topic.partitions() {
                let at = Position { topic, partition, offset: 0 };
                let bounds = self.bounds(at).await?.unwrap_or_default();
                let start = bounds.first.max(bounds.end.saturating_sub(NEWEST));
                if start < bounds.end {
                    from.push(Position { offset: start, ..at });
                    ends.push(Position { offset: bounds.end, ..at });
                }
            }
        }
        let (mut reader, began) = (self.log.read(from).await?, Instant::now());
        let mut causes = BTreeMap::new();
        // Entries that are not records may lie at the end of a log.
        while !reader.has_reached(&ends) && began.elapsed() < PATIENCE {
            let records = reader.next(1_000, WAIT).await?;
            for cause in self.unseen_causes(&records) {
                let last = causes.entry((cause.topic, cause.partition)).or_insert(cause);
                *last = (*last).max(cause);
            }
        }
        // All citations are known now.
        for cause in causes.into_values() {
            self.check_cause(cause).await?;
        }
        self.known().agrees = true;
        Ok(())
    }

    /// Checks that there is a record at `cause`, which another record cites.
    pub(super) async fn check_cause(&self, cause: Position) -> Result<(), LogError> {
        let Some(bounds) = self.bounds(cause).await? else { return Ok(()) };
        let place = (cause.topic, cause.partition);
        if bounds.end > cause.offset {
            let mut known = self.known();
            let end = known.ends.entry(place).or_default();
            *end = (*end).max(bounds.end);
            known.looked.insert(place, Instant::now());
            return Ok(());
        }
        if let Some(last) = self.agreed(cause, bounds.end) {
            let wanted = last.saturating_add(1);
            let fault = Fault::Short { partition: cause.partition, wanted, found: bounds.end };
            return self.contradicted(cause.topic, fault).await;
        }
        if self.known().doubted.insert(place) {
            tracing::warn!(
                operation = "note-not-believed",
                service = self.service.name(),
                topic = cause.topic.name(),
                partition = cause.partition,
                "a record says that it answers offset {}, and the partition ends at {}: it is not believed",
                cause.offset,
                bounds.end
            );
        }
        Ok(())
    }

    /// How far a partition went beyond `end`, if the records that answer it agree on that.
    fn agreed(&self, cause: Position, end: u64) -> Option<u64> {
        let known = self.known();
        let about = known
            .citations
            .iter()
            .filter(|((_, partition, topic), _)| (*topic, *partition) == (cause.topic, cause.partition));
        about.into_iter().find_map(|(_, citations)| {
            let mut sorted: Vec<u64> = citations.iter().copied().collect();
            sorted.sort_unstable();
            let beyond = sorted.iter().filter(|offset| **offset >= end).count();
            let agree = beyond >= CONTRADICTIONS && 4 * beyond >= 3 * sorted.len();
            // The median, which a few false records cannot move.
            sorted.get(sorted.len() / 2).copied().filter(|_| agree)
        })
    }

    /// Checks the topics; a deep check also looks for known records. What cannot be read now is checked
    /// again.
    async fn look(&self, deep: bool) {
        for topic in &self.topics {
            if let Err(error) = self.identify(*topic).await {
                tracing::debug!(service = self.service.name(), topic = topic.name(), %error, "looking at a topic");
            }
        }
        let causes = std::mem::take(&mut self.known().causes);
        for ((topic, partition), offset) in causes {
            if let Err(error) = self.check_cause(Position { topic, partition, offset }).await {
                tracing::debug!(service = self.service.name(), %error, "looking for a cause");
            }
        }
        if !deep {
            return;
        }
        self.known().settled = true;
        let ends = self.known().ends.clone();
        for ((topic, partition), wanted) in ends {
            let at = Position { topic, partition, offset: wanted };
            let Ok(Some(bounds)) = self.bounds(at).await else { continue };
            if bounds.end >= wanted {
                self.known().suspects.remove(&(topic, partition));
            } else if !self.known().suspects.insert((topic, partition)) {
                // Twice in a row: a broker that has just become leader of a partition may lag for a moment.
                let _ = self.damaged(topic, Fault::Short { partition, wanted, found: bounds.end });
            }
        }
    }
}

#[async_trait]
impl EventLog for Guarded {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        let guard = &self.guard;
        guard.check()?;
        let topics = batch.iter().map(|append| Classification::of(&append.message.event).topic());
        if let Some(topic) = topics.into_iter().find(|topic| guard.integrity.is_absent(*topic)) {
            return Err(LogError::NoSuchPartition { topic: topic.name().to_owned(), partition: 0 });
        }
        let ends = guard.known().ends.clone();
        let positions = guard.unless_damaged(guard.log.append(batch)).await?;
        // No new record can lie where records have been read before.
        for at in &positions {
            let end = ends.get(&(at.topic, at.partition)).copied().unwrap_or_default();
            if at.offset < end {
                guard.moved_back(Position { offset: end, ..*at }).await?;
            }
        }
        Ok(positions)
    }

    fn pace(&self) -> Span {
        self.guard.log.pace()
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        self.guard.check()?;
        self.guard.log.bounds(topic, partition).await
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        self.guard.log.topic_id(topic).await
    }

    async fn contradicted(&self, topic: Topic, fault: Fault) -> Result<(), LogError> {
        self.guard.contradicted(topic, fault).await
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        let guard = &self.guard;
        guard.check()?;
        guard.identify_all().await?;
        guard.check_newest().await?;
        let used = from.iter().filter(|at| guard.uses(at.topic));
        let starts = try_join_all(used.map(|at| guard.check_next(*at, self.passes_over))).await?;
        let inner = self.read.read(from).await?;
        Ok(Box::new(GuardedReader::new(Arc::clone(guard), inner, &starts, self.passes_over)))
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        Arc::new(Self { read: self.read.with_bytes(), ..self.clone() })
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        let guard = &self.guard;
        guard.check()?;
        guard.identify_all().await?;
        guard.check_newest().await?;
        Ok(Box::new(GuardedMember::new(Arc::clone(guard), self.read.join(service).await?)))
    }
}
