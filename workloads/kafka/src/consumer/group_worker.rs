//! The thread of a group member: it polls, takes over and gives back partitions, and commits offsets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{Assignment, Commit, Fetched, LogError, ReplacedTopic};
use kbnt_application::{Position, Service, Topic};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition;
use tokio::sync::{mpsc, oneshot};

use super::committed_offsets::{CommittedOffset, TopicIds};
use super::polling_consumer::PollingConsumer;
use super::rebalance::{Rebalance, RebalanceContext};
use super::record_cache::CacheReader;
use crate::admin::topic_id;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::ConnectionHealth;
use crate::client::metadata;
use crate::client::supervisor::ClientSupervisor;
use crate::client::thread::{StopFlag, spawn};
use crate::client::{REQUEST_TIMEOUT, TopicPartition, error, kafka_offset, partition_id};

/// What the worker sends to its member.
pub(crate) enum GroupUpdate {
    Records(Vec<Fetched>),
    Assigned(Vec<Assignment>),
    /// The worker gives these partitions back as soon as the member signals that it no longer needs them.
    Revoked(Vec<u32>, std::sync::mpsc::Sender<()>),
    Failed(LogError),
}

/// Offsets to commit, by partition.
pub(crate) type Commits = BTreeMap<TopicPartition, Commit>;

/// Topics that were replaced since their offsets were committed, by partition number.
type ReplacedTopics = BTreeMap<u32, Vec<ReplacedTopic>>;

/// What a member and its worker share.
#[derive(Clone)]
pub(crate) struct MemberState {
    pub(crate) health: Arc<ConnectionHealth>,
    /// Offsets that the worker has yet to store for the next commit.
    pub(crate) pending_commits: Arc<Mutex<Commits>>,
    pub(crate) stop: StopFlag,
    /// The member wants no records now, only rebalances.
    pub(crate) paused: Arc<AtomicBool>,
}

impl MemberState {
    pub(crate) fn new(health: Arc<ConnectionHealth>) -> Self {
        Self { health, pending_commits: Arc::default(), stop: StopFlag::default(), paused: Arc::default() }
    }
}

/// Starts the worker, which joins the group. The returned receiver completes when it has left the group.
pub(crate) fn start(
    config: &Arc<KafkaConfig>,
    supervisor: &Arc<ClientSupervisor>,
    service: Service,
    state: &MemberState,
    cache: CacheReader,
    updates: mpsc::Sender<GroupUpdate>,
) -> Result<oneshot::Receiver<()>, LogError> {
    let (settings, credentials) = (config.group_member(service), Arc::clone(supervisor));
    let (output, shared) = (config.topic_name(service.output()), state.clone());
    let factory = move || {
        let settings = credentials.with_credentials(settings.clone());
        let consumer: BaseConsumer<RebalanceContext> =
            metadata::create(&settings, RebalanceContext::new(&shared))?;
        consumer.subscribe(&[&output]).map_err(|error| error::of_client(&error))?;
        Ok(consumer)
    };
    let mut polling = PollingConsumer::new(factory, config, &state.health, cache, updates)?;
    polling.stop = state.stop.clone();
    let (leaving, left) = oneshot::channel();
    let worker = GroupWorker {
        polling,
        service,
        paused: Arc::clone(&state.paused),
        pending_commits: Arc::clone(&state.pending_commits),
        topic_ids: TopicIds::default(),
    };
    spawn("kafka-member", move || worker.run(leaving))?;
    Ok(left)
}

/// The state of the thread.
struct GroupWorker {
    polling: PollingConsumer<RebalanceContext, GroupUpdate>,
    service: Service,
    paused: Arc<AtomicBool>,
    pending_commits: Arc<Mutex<Commits>>,
    topic_ids: TopicIds,
}

impl GroupWorker {
    /// Works until the member stops, then leaves the group and says so on `leaving`.
    fn run(mut self, leaving: oneshot::Sender<()>) {
        while self.run_once() {}
        self.polling.stop.set();
        self.context().close();
        self.commit();
        drop(self.polling);
        // The member may not wait for it.
        let _ = leaving.send(());
    }

    /// Handles rebalances and polls once. Returns false when the worker must stop.
    fn run_once(&mut self) -> bool {
        while let Some(rebalance) = self.context().next() {
            let received = match rebalance {
                Rebalance::Assigned(partitions) => self.assign(&partitions),
                Rebalance::Revoked { partitions, lost } => self.revoke(&partitions, lost),
            };
            if !received {
                return false;
            }
        }
        if self.polling.health.is_renewal_due() && !self.renew() {
            return false;
        }
        self.store_offsets();
        let is_paused = self.paused.load(Ordering::Acquire);
        let held = if is_paused { self.inputs_of(&self.owned_partitions()) } else { Vec::new() };
        self.polling.update_paused(held);
        let update = match self.polling.poll() {
            Ok(records) if records.is_empty() => return !self.polling.stop.is_set(),
            Ok(records) => GroupUpdate::Records(records),
            Err(error) => GroupUpdate::Failed(error),
        };
        self.polling.send(update) && !self.polling.stop.is_set()
    }

    /// Joins the group again with a new consumer. Returns false when the worker must stop.
    fn renew(&mut self) -> bool {
        // Without a broker nothing can be committed. Records whose offsets were not committed are read again.
        let lost = !self.polling.health.is_healthy();
        if !self.revoke(&self.owned_partitions(), lost) {
            return false;
        }
        self.context().close();
        self.polling.renew();
        true
    }

    fn context(&self) -> &RebalanceContext {
        self.polling.consumer.context()
    }

    fn pending_commits(&self) -> MutexGuard<'_, Commits> {
        self.pending_commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions of the output topic whose inputs the consumer reads.
    fn owned_partitions(&self) -> Vec<u32> {
        let count = self.service.output().partitions();
        let owned: BTreeSet<u32> = self
            .context()
            .inputs()
            .elements()
            .iter()
            .filter_map(|element| u32::try_from(element.partition()).ok())
            .map(|number| number % count)
            .collect();
        owned.into_iter().collect()
    }

    /// The input partitions that belong to these partitions of the output topic.
    fn inputs_of(&self, partitions: &[u32]) -> Vec<TopicPartition> {
        let output = self.service.output().partitions();
        let inputs = self.service.inputs().iter();
        inputs
            .flat_map(|topic| (0..topic.partitions()).map(|number| (*topic, number)))
            .filter(|(_, number)| partitions.contains(&(number % output)))
            .collect()
    }

    /// Reads the inputs of newly assigned partitions from their committed offsets on. Returns false when the worker must stop.
    fn assign(&mut self, partitions: &[u32]) -> bool {
        let inputs = self.inputs_of(partitions);
        let Some((committed, replaced)) = self.committed_offsets(&inputs) else {
            // The next consumer fetches them. This one only completes the rebalance.
            let list = self.polling.partition_list(&inputs);
            return self.polling.consumer.incremental_assign(&list).is_ok() && !self.polling.stop.is_set();
        };
        let mut list = self.polling.partition_list(&inputs);
        for input in &inputs {
            let start =
                committed.get(input).map_or(Offset::Beginning, |commit| kafka_offset(commit.next.offset));
            let name = self.polling.config.topic_name(input.0);
            // The partition is in the list and the offset in range, so this cannot fail.
            let _ = list.set_partition_offset(&name, partition_id(input.1), start);
        }
        if let Err(error) = self.polling.consumer.incremental_assign(&list) {
            // The group believes that this member reads them. Only a new member can correct that.
            let failed = LogError::Refused(format!("cannot read the assigned partitions: {error}"));
            return self.polling.send(GroupUpdate::Failed(failed));
        }
        self.update_inputs();
        self.start_pacing(&inputs, &committed);
        let assignment = |partition| Assignment {
            partition,
            committed: committed.values().filter(|c| c.next.partition == partition).cloned().collect(),
            replaced: replaced.get(&partition).cloned().unwrap_or_default(),
        };
        let assigned = partition_numbers(&inputs).into_iter().map(assignment).collect();
        self.polling.send(GroupUpdate::Assigned(assigned))
    }

    /// Paces these inputs. If the cluster does not answer, they are read without pacing, even where a renewed client would get an
    /// answer: joining the group again would cost more.
    fn start_pacing(&mut self, inputs: &[TopicPartition], committed: &Commits) {
        for input in inputs {
            let (topic, partition) = *input;
            let name = self.polling.config.topic_name(topic);
            let watermarks = metadata::watermarks(&self.polling.consumer, &name, partition);
            let Ok(Bounds { first, end }) = watermarks else { return };
            let offset = committed.get(input).map_or(first, |commit| commit.next.offset.max(first));
            self.polling.start_pacing(Position { topic, partition, offset }, end);
        }
    }

    /// Fetches the committed offsets of these inputs, without those of topics that were replaced since. Retries until the cluster
    /// answers; returns `None` if the worker must stop or renew its consumer first.
    fn committed_offsets(&mut self, inputs: &[TopicPartition]) -> Option<(Commits, ReplacedTopics)> {
        let (mut commits, mut replaced) = (Commits::new(), ReplacedTopics::new());
        if inputs.is_empty() {
            return Some((commits, replaced));
        }
        let answer = self.retry(|worker| {
            let list = worker.polling.partition_list(inputs);
            worker.polling.consumer.committed_offsets(list, REQUEST_TIMEOUT)
        })?;
        let ids = self.retry(|worker| worker.input_topic_ids(inputs))?;
        for input in inputs {
            self.topic_ids.set(*input, ids.get(&input.0).copied());
        }
        let read = |element| CommittedOffset::read(&self.polling.config, element);
        for committed in answer.elements().iter().filter_map(read) {
            let Position { topic, partition, .. } = committed.commit.next;
            if let Some(topic) = self.topic_ids.replacement(&committed) {
                replaced.entry(partition).or_default().push(topic);
            } else {
                commits.insert((topic, partition), committed.commit);
            }
        }
        Some((commits, replaced))
    }

    /// Repeats a request until it succeeds; returns `None` if the worker must stop or renew its consumer first.
    fn retry<T>(&self, request: impl Fn(&Self) -> KafkaResult<T>) -> Option<T> {
        loop {
            match request(self) {
                Ok(answer) => {
                    self.polling.health.record_response();
                    return Some(answer);
                }
                Err(error) => tracing::debug!(%error, "cannot fetch committed offsets; retrying"),
            }
            if self.polling.stop.is_set() || self.polling.health.is_renewal_due() {
                return None;
            }
            self.polling.probe_if_due();
        }
    }

    /// Fetches the ids of the topics of these inputs; a topic that does not exist is not in the answer.
    fn input_topic_ids(&self, inputs: &[TopicPartition]) -> KafkaResult<HashMap<Topic, TopicId>> {
        let names: HashMap<String, Topic> =
            inputs.iter().map(|(topic, _)| (self.polling.config.topic_name(*topic), *topic)).collect();
        let listed: Vec<&String> = names.keys().collect();
        let mut ids = HashMap::new();
        for (name, id) in topic_id::of_all(self.polling.consumer.client(), &listed, REQUEST_TIMEOUT)? {
            let Some(topic) = names.get(&name) else { continue };
            match id {
                Ok(id) => drop(ids.insert(*topic, id)),
                Err(error) if error.rdkafka_error_code() == Some(UnknownTopicOrPartition) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(ids)
    }

    /// Gives partitions back once the member no longer needs them. Returns false when the worker must stop.
    fn revoke(&mut self, partitions: &[u32], lost: bool) -> bool {
        let inputs = self.inputs_of(partitions);
        let numbers = partition_numbers(&inputs);
        let (done, is_done) = std::sync::mpsc::channel();
        let received = numbers.is_empty() || self.polling.send(GroupUpdate::Revoked(numbers.clone(), done));
        while received && !numbers.is_empty() && !self.polling.stop.is_set() {
            match is_done.recv_timeout(Duration::from_millis(50)) {
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => self.polling.probe_if_due(),
                Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        if lost {
            self.pending_commits().retain(|(_, number), _| !numbers.contains(number));
        } else {
            self.commit();
        }
        self.polling.stop_pacing(&inputs);
        let revoked = self.polling.partition_list(&inputs);
        if let Err(error) = self.polling.consumer.incremental_unassign(&revoked) {
            tracing::warn!(%error, "cannot give partitions back");
        }
        self.update_inputs();
        received
    }

    /// Copies the consumer's assignment to its context.
    fn update_inputs(&self) {
        if let Ok(assignment) = self.polling.consumer.assignment() {
            self.context().set_inputs(assignment);
        }
    }

    /// Stores the pending offsets in librdkafka, which commits them every second and retries.
    fn store_offsets(&self) {
        let pending = std::mem::take(&mut *self.pending_commits());
        if pending.is_empty() {
            return;
        }
        let list = self.topic_ids.partition_list(&self.polling.config, pending.values());
        if let Err(error) = self.polling.consumer.store_offsets(&list) {
            // The new owner of the partitions reads these records again.
            tracing::debug!(%error, "cannot store offsets");
        }
    }

    /// Commits the pending offsets, and waits for it.
    fn commit(&self) {
        self.store_offsets();
        if let Err(error) = self.polling.consumer.commit_consumer_state(CommitMode::Sync) {
            tracing::debug!(%error, "cannot commit offsets");
        }
    }
}

/// The numbers of these partitions, each once.
fn partition_numbers(partitions: &[TopicPartition]) -> Vec<u32> {
    let numbers: BTreeSet<u32> = partitions.iter().map(|(_, number)| *number).collect();
    numbers.into_iter().collect()
}
