//! The log on Kafka.
//!
//! A process that shares the work of a service subscribes to the service's own output topic, only to learn which of its
//! partitions are its own: it then reads the partitions of that number of all input topics. So whoever answers in a
//! partition reads all that is answered there, whatever the assignor does.

pub mod admin;
mod client;
mod consumer;
mod producer;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::message::{Classification, partition_of};
use kbnt_application::ports::{EventLog, GroupReader, LogError, LogReader};
use kbnt_application::{Append, Position, Route, Service, Topic};
use kbnt_domain::Span;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use admin::topic_id;
use client::connection_health::Life;
use client::metadata::{self, Context};
use client::renewable::Replaceable;
use client::supervisor::{self, Watch};
use client::thread::spawn;
use client::{ASK, error};
use consumer::group_member::Member;
use consumer::partition_reader::Reader;
use consumer::record_cache::Known;
use kbnt_wire::Bytes;
use kbnt_wire::raw::{RawAppend, RawLog};
use producer::event_producer::Writer;
use producer::log_line_producer::Lines;
use producer::outgoing::Outgoing;
use producer::partition_queues::Lanes;

pub use admin::topic_id::of as topic_id;
pub use client::config::KafkaConfig;
pub use client::security::{ClientCertificate, Mechanism, Protocol, Sasl, Security};

/// How far apart the batches of one machine are under load. Each costs the broker a request for every partition, and a
/// fetch of each of its readers. What is fetched comes in batches already; this is for what does not: how charges ended, calls, and
/// the partitions of one fetch, which come one after the other.
const PACE: Span = Span::from_millis(10);

/// The log on Kafka. Cheap to clone; connects when it is first used, and again after any outage.
#[derive(Clone)]
pub struct KafkaLog {
    config: Arc<KafkaConfig>,
    watch: Arc<Watch>,
    clients: Arc<Clients>,
    bytes: Bytes,
}

/// The clients that everybody in the process shares.
struct Clients {
    writer: Arc<Writer>,
    lanes: Lanes,
    lines: Lines,
    known: Arc<Known>,
    asker: Replaceable<BaseConsumer<Context>>,
    /// The topics that were there when they were last asked for.
    seen: Mutex<HashMap<Topic, TopicId>>,
}

impl KafkaLog {
    /// A log on the cluster that `config` names. It does not wait for the cluster.
    pub fn new(config: KafkaConfig) -> Result<Self, LogError> {
        let config = Arc::new(config);
        let watch = Arc::new(Watch::new(&config)?);
        let (settings, watching) = (config.asker(), Arc::clone(&watch));
        let ask = move |life: &Arc<Life>| {
            metadata::create(&watching.with_credentials(settings.clone()), Context::new(life))
        };
        let writer = Arc::new(Writer::new(&config, &watch)?);
        let clients = Arc::new(Clients {
            lanes: Lanes::of(&writer),
            writer,
            lines: Lines::new(&config, &watch)?,
            known: Arc::default(),
            asker: Replaceable::new(watch.life("asker"), ask)?,
            seen: Mutex::default(),
        });
        let topic = config.topic_name(Topic::InventoryEvents);
        let (watched, shared) = (Arc::clone(&watch), Arc::downgrade(&clients));
        spawn("kafka-watch", move || look_after(&watched, &shared, &topic))?;
        Ok(Self { config, watch, clients, bytes: Bytes::default() })
    }

    /// Whether the cluster answered every client when it was last asked.
    pub fn is_up(&self) -> bool {
        self.watch.is_up()
    }

    /// Clients that were replaced by new ones, since the start.
    pub fn renewed_clients(&self) -> u64 {
        self.watch.renewed()
    }

    /// Log lines that were taken and then lost, since the start.
    pub fn lost_lines(&self) -> u64 {
        self.clients.lines.lost()
    }
}

impl Clients {
    /// Takes note of which topic of this name there is. One that is gone takes with it what the producer still holds: it was meant
    /// for that topic, and must not go into another one of the same name.
    fn saw(&self, topic: Topic, id: Result<&TopicId, &LogError>) -> Result<(), LogError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match id {
            Ok(id) => seen.insert(topic, *id).filter(|before| before != id),
            Err(LogError::NoSuchPartition { .. }) => seen.remove(&topic),
            Err(_) => None,
        };
        drop(seen);
        if before.is_none() {
            return Ok(());
        }
        tracing::warn!(
            operation = "producer-emptied",
            topic = topic.name(),
            "the topic is gone: what was not written yet is given back"
        );
        self.writer.producer.replace(&self.writer.producer.current())
    }
}

/// Looks after the clients for as long as anybody uses the log.
fn look_after(watch: &Watch, clients: &Weak<Clients>, topic: &str) {
    loop {
        std::thread::sleep(supervisor::LOOK);
        let Some(clients) = clients.upgrade() else { return };
        clients.writer.producer.tend(topic);
        clients.lines.producer.tend(topic);
        clients.asker.tend(topic);
        watch.look();
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        let mut records = Vec::with_capacity(batch.len());
        for append in &batch {
            let topic = Classification::of(&append.message.event).topic();
            let partition = match &append.route {
                Route::Key(key) => partition_of(key, topic.partitions()),
                Route::Partition(partition) => *partition,
            };
            let record = Outgoing::of(append).map_err(|error| LogError::Refused(error.to_string()))?;
            if let Some(value) = &record.value {
                self.clients.known.written((topic, partition), append, value);
            }
            records.push(((topic, partition), record));
        }
        self.clients.lanes.append(records).await
    }

    fn pace(&self) -> Span {
        PACE
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        let (clients, topic) = (Arc::clone(&self.clients), self.config.topic_name(topic));
        let ask = move || {
            let asker = &clients.asker;
            // librdkafka (2.12) never rests while a question waits for a broker that is away: two of its threads wake each other.
            asker.life().check()?;
            metadata::kept_or_condemned(&asker.current(), asker.life(), &topic, partition)
        };
        tokio::task::spawn_blocking(ask).await.map_err(|error| LogError::Unavailable(error.to_string()))?
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        let (clients, name) = (Arc::clone(&self.clients), self.config.topic_name(topic));
        let ask = move || {
            clients.asker.life().check()?;
            let asker = clients.asker.current();
            let id = topic_id::of(asker.client(), &name, ASK);
            let id = id.map_err(|error| error::on_partition(&error, &name, 0));
            clients.saw(topic, id.as_ref())?;
            id
        };
        tokio::task::spawn_blocking(ask).await.map_err(|error| LogError::Unavailable(error.to_string()))?
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        let reading =
            self.clients.known.read(from.iter().map(|position| position.topic).collect(), self.bytes);
        Ok(Box::new(Reader::open(&self.config, &self.watch, from, reading)?))
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        Arc::new(Self { bytes: Bytes::Kept, ..self.clone() })
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        let reading = self.clients.known.read(service.inputs().iter().copied().collect(), self.bytes);
        Ok(Box::new(Member::join(&self.config, &self.watch, service, reading)?))
    }
}

#[async_trait]
impl RawLog for KafkaLog {
    async fn append_raw(&self, batch: Vec<RawAppend>) -> Result<Vec<Position>, LogError> {
        let outgoing =
            |append: RawAppend| ((append.topic, append.partition()), Outgoing::from(append.record));
        self.clients.lanes.append(batch.into_iter().map(outgoing).collect()).await
    }

    fn offer(&self, append: RawAppend) -> bool {
        self.clients.lines.offer(&append)
    }
}
