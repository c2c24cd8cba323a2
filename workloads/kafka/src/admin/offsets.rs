//! Where the groups of the services have stopped, and where a time begins.

use std::sync::Arc;

use kbnt_application::intact::TopicId;
use kbnt_application::ports::LogError;
use kbnt_application::{Position, Service};
use kbnt_domain::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::config::KafkaConfig;
use crate::client::{REQUEST_TIMEOUT, error, metadata, partition_id};
use crate::consumer::CommittedOffset;

/// Asks a cluster for offsets. It joins no group, and commits nothing.
#[derive(Clone)]
pub struct Offsets {
    config: Arc<KafkaConfig>,
}

/// What a group has committed for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next record that it reads.
    pub next: Position,
    /// The topic of that name then; `None` if the commit does not say it.
    pub topic_id: Option<TopicId>,
}

impl Offsets {
    /// Of the cluster that `config` names. Does not wait for it.
    pub fn new(config: KafkaConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    /// What the group of a service has committed for its inputs. Partitions for which it has committed nothing are left out.
    ///
    /// # Errors
    /// The cluster does not answer, or the client may not see the group or a topic.
    pub async fn committed(&self, service: Service) -> Result<Vec<Committed>, LogError> {
        let inputs = service.inputs().iter().copied();
        let of = move |config: &KafkaConfig| {
            let mut list = TopicPartitionList::new();
            for topic in inputs {
                for partition in 0..topic.partitions() {
                    list.add_partition(&config.topic_name(topic), partition_id(partition));
                }
            }
            list
        };
        let answer = self.ask(Some(service), move |consumer, config| {
            consumer.committed_offsets(of(config), REQUEST_TIMEOUT).map_err(|error| error::of_client(&error))
        });
        let answer = answer.await?;
        let mut committed = Vec::new();
        for element in answer.elements() {
            let topic = self.config.topic_of(element.topic());
            element.error().map_err(|error| {
                error::of_partition(&error, element.topic(), u32::try_from(element.partition()).unwrap_or(0))
            })?;
            let read = topic.and_then(|_| CommittedOffset::read(&self.config, &element));
            committed.extend(read.map(|read| Committed { next: read.commit.next, topic_id: read.topic_id }));
        }
        Ok(committed)
    }

    /// The first record of each of these partitions that was written at `time` or later by the clock of its writer; where it ends if
    /// there is none.
    ///
    /// # Errors
    /// The cluster does not answer, or a partition is not there.
    pub async fn written_since(&self, time: Timestamp, of: Vec<Position>) -> Result<Vec<Position>, LogError> {
        let since = Offset::Offset(time.as_millis());
        let (asked, config) = (of.clone(), Arc::clone(&self.config));
        let answer = self.ask(None, move |consumer, config| {
            let mut list = TopicPartitionList::new();
            for at in &asked {
                let (name, partition) = (config.topic_name(at.topic), partition_id(at.partition));
                list.add_partition_offset(&name, partition, since)
                    .map_err(|error| error::of_client(&error))?;
            }
            consumer.offsets_for_times(list, REQUEST_TIMEOUT).map_err(|error| error::of_client(&error))
        });
        let answer = answer.await?;
        let found = |at: Position| {
            let name = config.topic_name(at.topic);
            let element = answer.find_partition(&name, partition_id(at.partition));
            let missing = || LogError::NoSuchPartition { topic: name.clone(), partition: at.partition };
            let element = element.ok_or_else(missing)?;
            element.error().map_err(|error| error::of_partition(&error, &name, at.partition))?;
            Ok(match element.offset() {
                Offset::Offset(offset) => Position { offset: u64::try_from(offset).unwrap_or(0), ..at },
                _ => at,
            })
        };
        of.into_iter().map(found).collect()
    }

    /// Asks with a client of its own, on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        service: Option<Service>,
        question: impl FnOnce(&BaseConsumer, &KafkaConfig) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let config = Arc::clone(&self.config);
        let asked = tokio::task::spawn_blocking(move || {
            let settings = match service {
                Some(service) => config.group_offsets(service),
                None => config.metadata_client(),
            };
            let settings = config.with_credentials(settings, &config.security.read()?);
            question(&metadata::create(&settings, DefaultConsumerContext)?, &config)
        });
        asked.await.unwrap_or_else(|error| Err(LogError::Unavailable(error.to_string())))
    }
}
