//! The thread that keeps a member in its group: polls, gives up and takes over partitions, commits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{Assignment, Commit, Fetched, LogError, ReplacedTopic};
use kbnt_application::{Position, Service, Topic};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use super::committed_offsets::{Committed, Ids, offset};
use super::polling_consumer::Pump;
use super::record_cache::Reading;
use crate::admin::topic_id;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::Life;
use crate::client::metadata as client;
use crate::client::supervisor::Watch;
use crate::client::thread::Stop;
use crate::client::thread::spawn;
use crate::client::{ASK, error, number};

/// What the thread hands over.
pub(crate) enum Portion {
    Records(Vec<Fetched>),
    Assigned(Vec<Assignment>),
    /// Handed over to somebody else as soon as the other end says that it has done with them.
    Revoked(Vec<u32>, std::sync::mpsc::Sender<()>),
    Failed(LogError),
}

/// Topics that are others than what was committed for them, by partition number.
type Replaced = BTreeMap<u32, Vec<ReplacedTopic>>;

/// What a member and its thread share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) life: Arc<Life>,
    pub(crate) commits: Arc<Mutex<Commits>>,
    pub(crate) stop: Stop,
    /// No records are wanted now, only changes.
    pub(crate) hold: Arc<AtomicBool>,
}

impl Shared {
    pub(crate) fn of(life: Arc<Life>) -> Self {
        Self { life, commits: Arc::default(), stop: Stop::default(), hold: Arc::default() }
    }
}

/// Starts the thread, which joins the group; what it returns tells when the group was left.
pub(crate) fn start(
    config: &Arc<KafkaConfig>,
    watch: &Arc<Watch>,
    service: Service,
    shared: &Shared,
    reading: Reading,
    portions: mpsc::Sender<Portion>,
) -> Result<oneshot::Receiver<()>, LogError> {
    let (settings, watching, lead) =
        (config.member(service), Arc::clone(watch), config.topic_name(service.output()));
    let of_all = shared.clone();
    let make = move || {
        let settings = watching.with_credentials(settings.clone());
        let consumer: BaseConsumer<Membership> = client::create(&settings, Membership::new(&of_all))?;
        consumer.subscribe(&[&lead]).map_err(|error| error::of_client(&error))?;
        Ok(consumer)
    };
    let mut pump = Pump::new(make, config, &shared.life, reading, portions)?;
    pump.stop = shared.stop.clone();
    let (leaving, left) = oneshot::channel();
    let (hold, commits) = (Arc::clone(&shared.hold), Arc::clone(&shared.commits));
    let worker = Worker { pump, service, hold, commits, ids: Ids::default() };
    spawn("kafka-member", move || worker.run(leaving))?;
    Ok(left)
}

/// From where to go on, as far as the worker does not know it yet.
pub(crate) type Commits = BTreeMap<(Topic, u32), Commit>;

/// What the group says, to be acted upon between two polls.
struct Membership {
    life: Arc<Life>,
    changes: Mutex<VecDeque<Change>>,
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

impl Membership {
    fn new(shared: &Shared) -> Self {
        Self {
            life: Arc::clone(&shared.life),
            changes: Mutex::default(),
            reading: Mutex::new(TopicPartitionList::new()),
            stop: shared.stop.clone(),
            closing: Stop::default(),
        }
    }
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
}

/// The thread that polls.
struct Worker {
    pump: Pump<Membership, Portion>,
    service: Service,
    hold: Arc<AtomicBool>,
    commits: Arc<Mutex<Commits>>,
    ids: Ids,
}

impl Worker {
    fn run(mut self, leaving: oneshot::Sender<()>) {
        while self.go_on() {}
        self.pump.stop.stop();
        self.pump.consumer.context().closing.stop();
        self.commit();
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
        self.store();
        let held =
            if self.hold.load(Ordering::Acquire) { self.inputs_of(&self.output_read()) } else { Vec::new() };
        self.pump.steer(held);
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
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Begins to read what is ours now, from what was committed.
    fn assign(&mut self, change: &Change) -> bool {
        let inputs = self.inputs_of(&change.partitions);
        let Some((committed, replaced)) = self.committed_for(&inputs) else {
            // Another consumer is to ask; this one must only have answered the group.
            let answered = self.pump.consumer.incremental_assign(&self.pump.list(&inputs));
            return answered.is_ok() && !self.pump.stop.is_told();
        };
        let mut list = self.pump.list(&inputs);
        for place in &inputs {
            let start = committed.get(place).map_or(Offset::Beginning, |commit| offset(commit.next.offset));
            let name = self.pump.config.topic_name(place.0);
            // The partition is in the list and the offset in range, so this cannot fail.
            let _ = list.set_partition_offset(&name, number(place.1), start);
        }
        if let Err(error) = self.pump.consumer.incremental_assign(&list) {
            // The group believes that we read them. Only a new member can put that right.
            let failed = LogError::Refused(format!("cannot read what the group has assigned: {error}"));
            return self.pump.hand_over(Portion::Failed(failed));
        }
        self.note_reading();
        self.note_lengths(&inputs, &committed);
        let mut numbers: Vec<u32> = inputs.iter().map(|(_, number)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let assignment = |partition| Assignment {
            partition,
            committed: committed.values().filter(|c| c.next.partition == partition).cloned().collect(),
            replaced: replaced.get(&partition).cloned().unwrap_or_default(),
        };
        self.pump.hand_over(Portion::Assigned(numbers.into_iter().map(assignment).collect()))
    }

    /// How far each of these has to be read. Without an answer they are read as they come, also where another client would have one:
    /// joining anew would cost more.
    fn note_lengths(&mut self, inputs: &[(Topic, u32)], committed: &BTreeMap<(Topic, u32), Commit>) {
        for place in inputs {
            let (topic, partition) = *place;
            let name = self.pump.config.topic_name(topic);
            let Ok(Bounds { first, end }) = client::kept(&self.pump.consumer, &name, partition) else {
                return;
            };
            let offset = committed.get(place).map_or(first, |commit| commit.next.offset.max(first));
            self.pump.begun(Position { topic, partition, offset }, end);
        }
    }

    /// What the group has committed for these, and which of it is of another topic, by partition number; asks until it is answered,
    /// told to stop or to be replaced.
    fn committed_for(&mut self, inputs: &[(Topic, u32)]) -> Option<(Commits, Replaced)> {
        let (mut commits, mut replaced) = (Commits::new(), Replaced::new());
        if inputs.is_empty() {
            return Some((commits, replaced));
        }
        let answer =
            self.ask(|worker| worker.pump.consumer.committed_offsets(worker.pump.list(inputs), ASK))?;
        let topics: BTreeSet<Topic> = inputs.iter().map(|(topic, _)| *topic).collect();
        for topic in topics {
            let id = self.ask(|worker| worker.id_of(topic))?;
            for place in inputs.iter().filter(|place| place.0 == topic) {
                self.ids.note(*place, id);
            }
        }
        let read = |element| Committed::read(&self.pump.config, element);
        for committed in answer.elements().iter().filter_map(read) {
            let Position { topic, partition, .. } = committed.commit.next;
            if let Some(topic) = self.ids.replaced(&committed) {
                replaced.entry(partition).or_default().push(topic);
            } else {
                commits.insert((topic, partition), committed.commit);
            }
        }
        Some((commits, replaced))
    }

    /// Asks until there is an answer, or nobody wants it any more.
    fn ask<T>(&self, question: impl Fn(&Self) -> KafkaResult<T>) -> Option<T> {
        loop {
            match question(self) {
                Ok(answer) => {
                    self.pump.life.heard();
                    return Some(answer);
                }
                Err(error) => tracing::debug!(%error, "asking for what a group has committed"),
            }
            if self.pump.stop.is_told() || self.pump.life.is_condemned() {
                return None;
            }
            self.pump.ask_if_quiet();
        }
    }

    /// The id of a topic; `None` if it is not there.
    fn id_of(&self, topic: Topic) -> KafkaResult<Option<TopicId>> {
        let name = self.pump.config.topic_name(topic);
        match topic_id::of(self.pump.consumer.client(), &name, ASK) {
            Ok(id) => Ok(Some(id)),
            Err(error) if error.rdkafka_error_code() == Some(UnknownTopicOrPartition) => Ok(None),
            Err(error) => Err(error),
        }
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
            self.commits().retain(|(_, number), _| !numbers.contains(number));
        } else {
            self.commit();
        }
        self.pump.ending(&inputs);
        if let Err(error) = self.pump.consumer.incremental_unassign(&self.pump.list(&inputs)) {
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

    /// Leaves what is to be committed to librdkafka, which commits it every second, and tries again what has failed.
    fn store(&self) {
        let waiting = std::mem::take(&mut *self.commits());
        if waiting.is_empty() {
            return;
        }
        let list = self.ids.list(&self.pump.config, waiting.values());
        if let Err(error) = self.pump.consumer.store_offsets(&list) {
            // They are read again by whoever reads them now.
            tracing::debug!(%error, "offsets of partitions that are not ours");
        }
    }

    /// Commits all that is to be committed, and waits for it.
    fn commit(&self) {
        self.store();
        if let Err(error) = self.pump.consumer.commit_consumer_state(CommitMode::Sync) {
            tracing::debug!(%error, "offsets were not committed");
        }
    }
}
