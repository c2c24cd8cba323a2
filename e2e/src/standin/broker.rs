//! The Kafka cluster, through its admin API.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kbnt_kafka::topic_id;
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

/// How long one call to the broker may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A client without any answer for this long is replaced.
const LOST: Duration = Duration::from_mins(1);

/// A call to the broker that failed; Strimzi shows it with reason `KafkaError`.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// The call did not reach the broker or was refused as a whole.
    #[error("{0}")]
    Call(#[from] KafkaError),
    /// The broker refused the one topic that the call was about.
    #[error("{topic}: {code}")]
    Topic {
        /// The topic.
        topic: String,
        /// The broker's error code.
        code: RDKafkaErrorCode,
    },
}

/// The state of a topic on the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Its id, which differs from those of other topics of the same name. A new topic's id is not known in
    /// advance.
    pub id: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Copies of the first partition.
    pub replicas: i32,
    /// The settings of the topic itself, without the broker's defaults.
    pub config: BTreeMap<String, String>,
}

/// The cluster's admin API.
pub struct Broker {
    admin: AdminClient<DefaultClientContext>,
    options: AdminOptions,
    answered: Mutex<Instant>,
}

impl Broker {
    /// A client of the cluster at `bootstrap_servers`; connects when it is first used.
    pub fn new(bootstrap_servers: &str) -> Result<Self, BrokerError> {
        let admin = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            .set("client.id", "kbnt-strimzi-standin")
            .create()?;
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        Ok(Self { admin, options, answered: Mutex::new(Instant::now()) })
    }

    /// Ends the process when the broker has not answered for long: a client of librdkafka 2.10 to 2.13 that
    /// once learned of a cluster without brokers never looks for them again, but a new process does.
    pub fn give_up_if_lost(&self) {
        if self.answered.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > LOST {
            tracing::error!("the broker has not answered for {LOST:?}: starting over");
            std::process::exit(1);
        }
    }

    /// The present state of the topic; `None` if it does not exist.
    pub async fn find(&self, topic: &str) -> Result<Option<TopicState>, BrokerError> {
        let metadata =
            tokio::task::block_in_place(|| self.admin.inner().fetch_metadata(Some(topic), TIMEOUT))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
            return Ok(None);
        };
        if let Some(error) = found.error() {
            return match RDKafkaErrorCode::from(error) {
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => Ok(None),
                code => Err(BrokerError::Topic { topic: topic.to_owned(), code }),
            };
        }
        let replicas = found.partitions().first().map_or(0, |partition| partition.replicas().len());
        let id = tokio::task::block_in_place(|| topic_id(self.admin.inner(), topic, TIMEOUT))?;
        Ok(Some(TopicState {
            id: id.to_string(),
            partitions: i32::try_from(found.partitions().len()).unwrap_or(i32::MAX),
            replicas: i32::try_from(replicas).unwrap_or(i32::MAX),
            config: self.config(topic).await?,
        }))
    }

    async fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, BrokerError> {
        let resource = ResourceSpecifier::Topic(topic);
        let mut config = BTreeMap::new();
        for result in self.admin.describe_configs([&resource], &self.options).await? {
            let described = result.map_err(|code| BrokerError::Topic { topic: topic.to_owned(), code })?;
            let own =
                described.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
            config.extend(own.filter_map(|entry| Some((entry.name, entry.value?))));
        }
        Ok(config)
    }

    /// Creates the topic; -1 stands for the broker's default of either number.
    pub async fn create(&self, topic: &str, wanted: &TopicState) -> Result<(), BrokerError> {
        let mut new = NewTopic::new(topic, wanted.partitions, TopicReplication::Fixed(wanted.replicas));
        new.config = wanted.config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        done(self.admin.create_topics([&new], &self.options).await?)
    }

    /// Grows the topic to `partitions` in all.
    pub async fn grow(&self, topic: &str, partitions: i32) -> Result<(), BrokerError> {
        let total = usize::try_from(partitions).unwrap_or_default();
        done(self.admin.create_partitions([&NewPartitions::new(topic, total)], &self.options).await?)
    }

    /// Sets exactly `config` on the topic; every other setting returns to the broker's default.
    pub async fn configure(&self, topic: &str, config: &BTreeMap<String, String>) -> Result<(), BrokerError> {
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        alter.entries = config.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        for result in self.admin.alter_configs([&alter], &self.options).await? {
            result.map_err(|(_, code)| BrokerError::Topic { topic: topic.to_owned(), code })?;
        }
        Ok(())
    }

    /// Deletes the topic, if it exists.
    pub async fn delete(&self, topic: &str) -> Result<(), BrokerError> {
        match done(self.admin.delete_topics(&[topic], &self.options).await?) {
            Err(BrokerError::Topic { code: RDKafkaErrorCode::UnknownTopicOrPartition, .. }) => Ok(()),
            other => other,
        }
    }
}

fn done(results: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<(), BrokerError> {
    for result in results {
        result.map_err(|(topic, code)| BrokerError::Topic { topic, code })?;
    }
    Ok(())
}
