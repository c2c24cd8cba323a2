//! The log on Kafka.
//!
//! A process that shares the work of a service subscribes to the service's own output topic, only to learn which of its
//! partitions are its own: it then reads the partitions of that number of all input topics. So whoever answers in a
//! partition reads all that is answered there, whatever the assignor does.

mod client;
mod config;
mod error;
mod lines;
mod member;
mod pump;
mod reader;
mod record;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::message::Classification;
use kbnt_application::ports::{EventLog, GroupReader, LogError, LogReader};
use kbnt_application::{Append, Position, Route, Service, Topic};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::raw::{RawAppend, RawLog};
use crate::wire;
use client::{Context, Health};
use lines::Lines;
use writer::{Outgoing, Writer};

pub use config::KafkaConfig;

/// How long a question to a broker may take.
const ASK: Duration = Duration::from_secs(5);

/// The log on Kafka. Cheap to clone; connects when it is first used, and again after any outage.
#[derive(Clone)]
pub struct KafkaLog {
    config: Arc<KafkaConfig>,
    health: Arc<Health>,
    writer: Arc<Writer>,
    lines: Arc<Lines>,
    asker: Arc<BaseConsumer<Context>>,
}

impl KafkaLog {
    /// A log on the cluster that `config` names. It does not wait for the cluster.
    pub fn new(config: KafkaConfig) -> Result<Self, LogError> {
        let config = Arc::new(config);
        let health = Arc::new(Health::default());
        Ok(Self {
            writer: Arc::new(Writer::new(&config, &health)?),
            lines: Arc::new(Lines::new(&config)?),
            asker: Arc::new(client::create(&config.asker(), Context::new(&health))?),
            config,
            health,
        })
    }

    /// Whether the cluster answered when it was last asked.
    pub fn is_up(&self) -> bool {
        !self.health.is_down()
    }

    /// Log lines that were taken and then lost, since the start.
    pub fn lost_lines(&self) -> u64 {
        self.lines.lost()
    }
}

#[async_trait]
impl EventLog for KafkaLog {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        let mut records = Vec::with_capacity(batch.len());
        for append in &batch {
            let partition = match append.route {
                Route::Key(_) => None,
                Route::Partition(partition) => Some(partition),
            };
            let topic = Classification::of(&append.message.event).topic();
            let record = wire::encode(append).map_err(|error| LogError::Refused(error.to_string()))?;
            records.push(Outgoing { topic, partition, record });
        }
        self.writer.append(records).await
    }

    async fn end(&self, topic: Topic, partition: u32) -> Result<u64, LogError> {
        let (asker, name) = (Arc::clone(&self.asker), self.config.topic_name(topic));
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let topic = name.clone();
        let question = tokio::task::spawn_blocking(move || asker.fetch_watermarks(&topic, number, ASK));
        let answer = question.await.map_err(|error| LogError::Unavailable(error.to_string()))?;
        match answer {
            Ok((_, end)) => Ok(u64::try_from(end).unwrap_or(0)),
            Err(error) => Err(error::on_partition(&error, &name, partition)),
        }
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        Ok(Box::new(reader::Reader::open(&self.config, &self.health, from)?))
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        Ok(Box::new(member::Member::join(&self.config, &self.health, service)?))
    }
}

#[async_trait]
impl RawLog for KafkaLog {
    async fn append_raw(&self, batch: Vec<RawAppend>) -> Result<Vec<Position>, LogError> {
        let outgoing = |RawAppend { topic, to: partition, record }| Outgoing { topic, partition, record };
        self.writer.append(batch.into_iter().map(outgoing).collect()).await
    }

    fn offer(&self, append: RawAppend) -> bool {
        self.lines.offer(&append)
    }
}
