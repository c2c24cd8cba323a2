//! Reads as a member of a service's group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kbnt_application::ports::{Assignment, Commit, Fetched, GroupBatch, GroupReader, LogError};
use kbnt_application::{Position, Service, Topic};
use kbnt_domain::Span;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use super::client;
use super::config::KafkaConfig;
use super::life::Life;
use super::pump::{PORTIONS, Pump, Stop};
use super::watch::Watch;
use super::{ASK, error, spawn};

/// How often offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_millis(200);

/// How long leaving may take.
const LEAVE: Duration = Duration::from_secs(5);

/// What the thread hands over.
enum Portion {
    Records(Vec<Fetched>),
    Assigned(Vec<Assignment>),
    /// Handed over to somebody else as soon as the other end says that it has done with them.
    Revoked(Vec<u32>, std::sync::mpsc::Sender<()>),
    Failed(LogError),
}

/// A member of a service's group.
pub(super) struct Member {
    life: Arc<Life>,
    commits: Arc<Mutex<Commits>>,
    portions: mpsc::Receiver<Portion>,
    stop: Stop,
    left: oneshot::Receiver<()>,
    buffer: VecDeque<Fetched>,
    /// What came after the records in the buffer, and is no record.
    after: Option<Portion>,
    /// Told when the next batch is asked for: the caller is done with what was revoked.
    revoked: Option<std::sync::mpsc::Sender<()>>,
}

/// Offsets to be committed.
#[derive(Default)]
struct Commits {
    waiting: BTreeMap<(Topic, u32), Commit>,
    /// On their way; one commit at a time.
    sent: BTreeMap<(Topic, u32), Commit>,
}

/// What the group says, to be acted upon between two polls.
struct Membership {
    life: Arc<Life>,
    changes: Mutex<VecDeque<Change>>,
    commits: Arc<Mutex<Commits>>,
    /// What is read now; given back at once when the consumer closes.
    reading: Mutex<TopicPartitionList>,
    /// The worker is to end.
    stop: Stop,
    /// This consumer is to end.
    closing: Stop,
}

/// A change of which partitions of the output topic are ours.
struct Change {
    assigned: bool,
    /// The group has given them away already: nothing can be committed for them.
    lost: bool,
    partitions: Vec<u32>,
}

impl ClientContext for Membership {
    fn error(&self, error: KafkaError, reason: &str) {
        client::note(&self.life, &error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        let assigned = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if !assigned && (self.stop.is_told() || self.closing.is_told()) {
            let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
            let reading = std::mem::replace(&mut *reading, TopicPartitionList::new());
            if let Err(error) = consumer.incremental_unassign(&reading) {
                tracing::warn!(%error, "giving partitions back");
            }
            return;
        }
        let partitions = tpl.elements().iter().filter_map(|e| u32::try_from(e.partition()).ok()).collect();
        let change = Change { assigned, lost: !assigned && consumer.assignment_lost(), partitions };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if self.closing.is_told() {
            return;
        }
        let mut commits = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = std::mem::take(&mut commits.sent);
        if let Err(error) = result {
            tracing::debug!(%error, "offsets were not committed");
            for (place, commit) in sent {
                commits.waiting.entry(place).or_insert(commit);
            }
        }
    }
}

impl Member {
    pub(super) fn join(
        config: &Arc<KafkaConfig>,
        watch: &Arc<Watch>,
        service: Service,
    ) -> Result<Self, LogError> {
        let (commits, stop, life) = (Arc::<Mutex<Commits>>::default(), Stop::default(), watch.life("member"));
        let (settings, watching, lead) =
            (config.member(service), Arc::clone(watch), config.topic_name(service.output()));
        let of_all = (Arc::clone(&commits), stop.clone(), Arc::clone(&life));
        let make = move || {
            let (commits, stop, life) = of_all.clone();
            let membership = Membership {
                life,
                changes: Mutex::default(),
                commits,
                reading: Mutex::new(TopicPartitionList::new()),
                stop,
                closing: Stop::default(),
            };
            let settings = watching.with_credentials(settings.clone());
            let consumer: BaseConsumer<Membership> = client::create(&settings, membership)?;
            consumer.subscribe(&[&lead]).map_err(|error| error::of_client(&error))?;
            Ok(consumer)
        };
        let (send, portions) = mpsc::channel(PORTIONS);
        let mut pump = Pump::new(make, config, &life, send)?;
        pump.stop = stop.clone();
        let (leaving, left) = oneshot::channel();
        let worker = Worker { pump, service, committed: Instant::now() };
        spawn("kafka-member", move || worker.run(leaving))?;
        Ok(Self { life, commits, portions, stop, left, buffer: VecDeque::new(), after: None, revoked: None })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.stop();
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
}

#[async_trait]
impl GroupReader for Member {
    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        // A worker that has stopped needs no answer.
        let _ = self.revoked.take().map(|done| done.send(()));
        if self.buffer.is_empty() {
            match self.first(wait).await? {
                Some(Portion::Records(records)) => self.buffer.extend(records),
                Some(Portion::Assigned(assigned)) => return Ok(GroupBatch::Assigned(assigned)),
                Some(Portion::Revoked(partitions, done)) => {
                    self.revoked = Some(done);
                    return Ok(GroupBatch::Revoked(partitions));
                }
                Some(Portion::Failed(error)) => return Err(error),
                None => self.life.check()?,
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
        let mut all = self.commits.lock().unwrap_or_else(PoisonError::into_inner);
        for commit in commits {
            all.waiting.insert((commit.next.topic, commit.next.partition), commit);
        }
        Ok(())
    }

    async fn leave(mut self: Box<Self>) -> Result<(), LogError> {
        self.stop.stop();
        self.portions.close();
        let left = tokio::time::timeout(LEAVE, &mut self.left).await;
        // Beyond that the group finds out by itself that we are gone.
        left.map(drop).map_err(|_| LogError::Unavailable("leaving the group took too long".to_owned()))
    }
}

/// The thread that polls.
struct Worker {
    pump: Pump<Membership, Portion>,
    service: Service,
    committed: Instant,
}

impl Worker {
    fn run(mut self, leaving: oneshot::Sender<()>) {
        while self.go_on() {}
        self.pump.stop.stop();
        self.pump.consumer.context().closing.stop();
        self.commit(CommitMode::Sync);
        drop(self.pump);
        // Nobody may be waiting for it.
        let _ = leaving.send(());
    }

    /// One round; whether there is to be another one.
    fn go_on(&mut self) -> bool {
        while let Some(change) = self.next_change() {
            let wanted = if change.assigned { self.assign(&change) } else { self.revoke(&change) };
            if !wanted {
                return false;
            }
        }
        if self.pump.life.is_condemned() && !self.renew() {
            return false;
        }
        if self.committed.elapsed() >= COMMIT_EVERY {
            self.commit(CommitMode::Async);
        }
        let portion = match self.pump.poll() {
            Ok(records) if records.is_empty() => return !self.pump.stop.is_told(),
            Ok(records) => Portion::Records(records),
            Err(error) => Portion::Failed(error),
        };
        self.pump.hand_over(portion) && !self.pump.stop.is_told()
    }

    /// Joins the group anew with another consumer; whether anybody still wants it.
    fn renew(&mut self) -> bool {
        let partitions = self.output_read();
        // Without a broker nothing can be committed: what was not is read again.
        let lost = !self.pump.life.is_well();
        if !self.revoke(&Change { assigned: false, lost, partitions }) {
            return false;
        }
        self.pump.consumer.context().closing.stop();
        self.commits().sent.clear();
        self.pump.renew(drop);
        true
    }

    /// The partitions of the output topic whose inputs are read now.
    fn output_read(&self) -> Vec<u32> {
        let context = self.pump.consumer.context();
        let reading = context.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.service.output().partitions();
        let read: BTreeSet<u32> = reading
            .elements()
            .iter()
            .filter_map(|element| u32::try_from(element.partition()).ok())
            .map(|number| number % count)
            .collect();
        read.into_iter().collect()
    }

    fn commits(&self) -> MutexGuard<'_, Commits> {
        self.pump.consumer.context().commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_change(&self) -> Option<Change> {
        let context = self.pump.consumer.context();
        context.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The input partitions that belong to these partitions of the output topic.
    fn inputs_of(&self, partitions: &[u32]) -> Vec<(Topic, u32)> {
        let output = self.service.output().partitions();
        let inputs = self.service.inputs().iter();
        inputs
            .flat_map(|topic| (0..topic.partitions()).map(|number| (*topic, number)))
            .filter(|(_, number)| partitions.contains(&(number % output)))
            .collect()
    }

    fn list(&self, inputs: &[(Topic, u32)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(inputs.len());
        for (topic, number) in inputs {
            list.add_partition(
                &self.pump.config.topic_name(*topic),
                i32::try_from(*number).unwrap_or(i32::MAX),
            );
        }
        list
    }

    /// Begins to read what is ours now, from what was committed.
    fn assign(&self, change: &Change) -> bool {
        let inputs = self.inputs_of(&change.partitions);
        let Some(committed) = self.committed_for(&inputs) else {
            // Another consumer is to ask; this one must only have answered the group.
            let answered = self.pump.consumer.incremental_assign(&self.list(&inputs));
            return answered.is_ok() && !self.pump.stop.is_told();
        };
        let mut list = self.list(&inputs);
        let starts = inputs.iter().map(|place| {
            committed.get(place).map_or(Offset::Beginning, |commit| {
                Offset::Offset(i64::try_from(commit.next.offset).unwrap_or(i64::MAX))
            })
        });
        for ((topic, number), start) in inputs.iter().zip(starts) {
            let number = i32::try_from(*number).unwrap_or(i32::MAX);
            // The partition is in the list and the offset in range, so this cannot fail.
            let _ = list.set_partition_offset(&self.pump.config.topic_name(*topic), number, start);
        }
        if let Err(error) = self.pump.consumer.incremental_assign(&list) {
            // The group believes that we read them. Only a new member can put that right.
            let failed = LogError::Refused(format!("cannot read what the group has assigned: {error}"));
            return self.pump.hand_over(Portion::Failed(failed));
        }
        self.note_reading();
        let mut numbers: Vec<u32> = inputs.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let assignment = |partition| Assignment {
            partition,
            committed: committed.values().filter(|c| c.next.partition == partition).cloned().collect(),
        };
        self.pump.hand_over(Portion::Assigned(numbers.into_iter().map(assignment).collect()))
    }

    /// What the group has committed for these; asks until it is answered, told to stop or to be replaced.
    fn committed_for(&self, inputs: &[(Topic, u32)]) -> Option<BTreeMap<(Topic, u32), Commit>> {
        if inputs.is_empty() {
            return Some(BTreeMap::new());
        }
        loop {
            match self.pump.consumer.committed_offsets(self.list(inputs), ASK) {
                Ok(answer) => {
                    self.pump.life.heard();
                    return Some(self.read_committed(&answer));
                }
                Err(error) => tracing::debug!(%error, "asking for the committed offsets"),
            }
            if self.pump.stop.is_told() || self.pump.life.is_condemned() {
                return None;
            }
            self.pump.ask_if_quiet();
        }
    }

    fn read_committed(&self, answer: &TopicPartitionList) -> BTreeMap<(Topic, u32), Commit> {
        let commit = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let Offset::Offset(offset) = element.offset() else { return None };
            let next = Position {
                topic: self.pump.config.topic_of(element.topic())?,
                partition: u32::try_from(element.partition()).ok()?,
                offset: u64::try_from(offset).ok()?,
            };
            Some(((next.topic, next.partition), Commit { next, note: element.metadata().to_owned() }))
        };
        answer.elements().iter().filter_map(commit).collect()
    }

    /// Gives up what is somebody else's now, once our own side is done with it.
    fn revoke(&mut self, change: &Change) -> bool {
        let inputs = self.inputs_of(&change.partitions);
        let mut numbers: Vec<u32> = inputs.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let (done, is_done) = std::sync::mpsc::channel();
        let wanted = numbers.is_empty() || self.pump.hand_over(Portion::Revoked(numbers.clone(), done));
        while wanted && !numbers.is_empty() && !self.pump.stop.is_told() {
            match is_done.recv_timeout(Duration::from_millis(50)) {
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => self.pump.ask_if_quiet(),
                Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        if change.lost {
            self.commits().waiting.retain(|(_, number), _| !numbers.contains(number));
        } else {
            self.commit(CommitMode::Sync);
        }
        if let Err(error) = self.pump.consumer.incremental_unassign(&self.list(&inputs)) {
            tracing::warn!(%error, "giving partitions back");
        }
        self.note_reading();
        wanted
    }

    fn note_reading(&self) {
        if let Ok(assignment) = self.pump.consumer.assignment() {
            *self.pump.consumer.context().reading.lock().unwrap_or_else(PoisonError::into_inner) = assignment;
        }
    }

    /// Sends what is to be committed.
    fn commit(&mut self, mode: CommitMode) {
        self.committed = Instant::now();
        let context = self.pump.consumer.context();
        let mut list = TopicPartitionList::new();
        {
            let mut commits = context.commits.lock().unwrap_or_else(PoisonError::into_inner);
            let commits = &mut *commits;
            let synchronous = matches!(mode, CommitMode::Sync);
            if commits.waiting.is_empty() || (!commits.sent.is_empty() && !synchronous) {
                return;
            }
            for ((topic, number), commit) in std::mem::take(&mut commits.waiting) {
                let name = self.pump.config.topic_name(topic);
                let mut element = list.add_partition(&name, i32::try_from(number).unwrap_or(i32::MAX));
                // The offset is in range, so this cannot fail.
                let _ =
                    element.set_offset(Offset::Offset(i64::try_from(commit.next.offset).unwrap_or(i64::MAX)));
                element.set_metadata(&commit.note);
                commits.sent.insert((topic, number), commit);
            }
        }
        if let Err(error) = self.pump.consumer.commit(&list, mode) {
            context.commit_callback(Err(error), &list);
        }
    }
}
