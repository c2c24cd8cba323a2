//! The log: appends through the producers, reads through consumers, and asks the cluster about topics.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::ports::{EventLog, GroupReader, LogError, LogReader};
use kbnt_application::{Append, Position, Service, Topic};
use kbnt_domain::Span;
use kbnt_wire::Bytes;
use kbnt_wire::raw::{RawAppend, RawLog};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::admin::topic_id;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::ConnectionHealth;
use crate::client::metadata::{self, HealthContext};
use crate::client::renewable::RenewableClient;
use crate::client::supervisor::{self, ClientSupervisor};
use crate::client::thread::spawn;
use crate::client::{REQUEST_TIMEOUT, error};
use crate::consumer::group_member::GroupMember;
use crate::consumer::partition_reader::PartitionReader;
use crate::consumer::record_cache::RecordCache;
use crate::producer::event_producer::EventProducer;
use crate::producer::log_line_producer::LogLineProducer;
use crate::producer::outgoing_record::OutgoingRecord;
use crate::producer::partition_queues::PartitionQueues;

/// The least time between two batches of one machine under load. Each batch costs the broker a request per partition, and each of
/// its readers a fetch. Fetches already form batches; this forms them of what is not fetched, such as the results of charges and
/// calls, and of the partitions of one fetch, which arrive one after the other.
const BATCH_INTERVAL: Span = Span::from_millis(10);

/// The log on Kafka. Cheap to clone. It connects when it is first used, and again after any outage.
#[derive(Clone)]
pub struct KafkaLog {
    config: Arc<KafkaConfig>,
    supervisor: Arc<ClientSupervisor>,
    clients: Arc<Clients>,
    bytes: Bytes,
    /// Whether records that are written as bytes keep their time.
    keeps_times: bool,
}

/// The clients that all users of the log share.
struct Clients {
    events: Arc<EventProducer>,
    queues: PartitionQueues,
    log_lines: LogLineProducer,
    cache: Arc<RecordCache>,
    metadata: RenewableClient<BaseConsumer<HealthContext>>,
    /// The id of each topic when it was last asked for; none of a topic that did not exist.
    topic_ids: Mutex<HashMap<Topic, TopicId>>,
}

impl KafkaLog {
    /// A log on the cluster that `config` names. Does not wait for the cluster.
    pub fn new(config: KafkaConfig) -> Result<Self, LogError> {
        let config = Arc::new(config);
        let supervisor = Arc::new(ClientSupervisor::new(&config)?);
        let (settings, credentials) = (config.metadata_client(), Arc::clone(&supervisor));
        let metadata_client = move |health: &Arc<ConnectionHealth>| {
            let settings = credentials.with_credentials(settings.clone());
            metadata::create(&settings, HealthContext::new(health))
        };
        let events = Arc::new(EventProducer::new(&config, &supervisor)?);
        let clients = Arc::new(Clients {
            queues: PartitionQueues::new(&events),
            events,
            log_lines: LogLineProducer::new(&config, &supervisor)?,
            cache: Arc::default(),
            metadata: RenewableClient::new(supervisor.register("metadata"), metadata_client)?,
            topic_ids: Mutex::default(),
        });
        let topic = config.topic_name(Topic::InventoryEvents);
        let (supervised, shared) = (Arc::clone(&supervisor), Arc::downgrade(&clients));
        spawn("kafka-supervise", move || supervise(&supervised, &shared, &topic))?;
        Ok(Self { config, supervisor, clients, bytes: Bytes::default(), keeps_times: false })
    }

    /// The same log, where records that are written as bytes keep their time, as a copy of another log has it.
    #[must_use]
    pub fn keeping_times(self) -> Self {
        Self { keeps_times: true, ..self }
    }

    /// Whether every client reaches the cluster.
    pub fn is_up(&self) -> bool {
        self.supervisor.is_up()
    }

    /// The number of clients that were replaced by new ones since the start.
    pub fn renewed_clients(&self) -> u64 {
        self.supervisor.renewals()
    }

    /// The number of log lines that were accepted and then lost since the start.
    pub fn lost_lines(&self) -> u64 {
        self.clients.log_lines.lost()
    }
}

impl Clients {
    /// Records the id of a topic. When the topic is deleted or replaced, the event producer is renewed: the records that it still
    /// holds were meant for the old topic, and must not be written to a new one with the same name.
    fn record_topic_id(&self, topic: Topic, id: Result<&TopicId, &LogError>) -> Result<(), LogError> {
        let mut ids = self.topic_ids.lock().unwrap_or_else(PoisonError::into_inner);
        let old = match id {
            Ok(id) => ids.insert(topic, *id).filter(|old| old != id),
            Err(LogError::NoSuchPartition { .. }) => ids.remove(&topic),
            Err(_) => None,
        };
        drop(ids);
        if old.is_none() {
            return Ok(());
        }
        tracing::warn!(
            operation = "producer-emptied",
            topic = topic.name(),
            "the topic was deleted or replaced; records that are not written yet fail"
        );
        self.events.producer.renew(&self.events.producer.current())
    }
}

/// Maintains the clients for as long as the log is in use.
fn supervise(supervisor: &ClientSupervisor, clients: &Weak<Clients>, topic: &str) {
    loop {
        std::thread::sleep(supervisor::CHECK_INTERVAL);
        let Some(clients) = clients.upgrade() else { return };
        clients.events.producer.maintain(topic);
        clients.log_lines.producer.maintain(topic);
        clients.metadata.maintain(topic);
        supervisor.check();
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        let mut records = Vec::with_capacity(batch.len());
        for append in &batch {
            let place = append.place();
            let record =
                OutgoingRecord::encode(append).map_err(|error| LogError::Refused(error.to_string()))?;
            if let Some(value) = &record.value {
                self.clients.cache.insert_written(place, append, value);
            }
            records.push((place, record));
        }
        self.clients.queues.append(records).await
    }

    fn pace(&self) -> Span {
        BATCH_INTERVAL
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        let (clients, topic) = (Arc::clone(&self.clients), self.config.topic_name(topic));
        let request = move || {
            let client = &clients.metadata;
            // librdkafka (2.12) spins while a request waits for a broker that is down: two of its threads keep waking each other.
            client.health().check()?;
            metadata::watermarks_or_renewal(&client.current(), client.health(), &topic, partition)
        };
        tokio::task::spawn_blocking(request)
            .await
            .map_err(|error| LogError::Unavailable(error.to_string()))?
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        let (clients, name) = (Arc::clone(&self.clients), self.config.topic_name(topic));
        let request = move || {
            clients.metadata.health().check()?;
            let client = clients.metadata.current();
            let id = topic_id::of(client.client(), &name, REQUEST_TIMEOUT);
            let id = id.map_err(|error| error::of_partition(&error, &name, 0));
            clients.record_topic_id(topic, id.as_ref())?;
            id
        };
        tokio::task::spawn_blocking(request)
            .await
            .map_err(|error| LogError::Unavailable(error.to_string()))?
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        let topics = from.iter().map(|position| position.topic).collect();
        let cache = self.clients.cache.reader(topics, self.bytes);
        Ok(Box::new(PartitionReader::open(&self.config, &self.supervisor, from, cache)?))
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        Arc::new(Self { bytes: Bytes::Kept, ..self.clone() })
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        let cache = self.clients.cache.reader(service.inputs().iter().copied().collect(), self.bytes);
        Ok(Box::new(GroupMember::join(&self.config, &self.supervisor, service, cache)?))
    }
}

#[async_trait]
impl RawLog for KafkaLog {
    async fn append_raw(&self, batch: Vec<RawAppend>) -> Result<Vec<Position>, LogError> {
        let record = if self.keeps_times { OutgoingRecord::keeping_time } else { OutgoingRecord::from };
        let outgoing = |append: RawAppend| ((append.topic, append.partition()), record(append.record));
        self.clients.queues.append(batch.into_iter().map(outgoing).collect()).await
    }

    fn offer(&self, append: RawAppend) -> bool {
        self.clients.log_lines.offer(&append)
    }
}
