//! A test's own topics, under a unique prefix.

use std::time::{SystemTime, UNIX_EPOCH};

use kbnt_application::ports::{EventLog as _, LogError};
use kbnt_application::{Service, Topic};
use kbnt_kafka::{KafkaConfig, KafkaLog};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// The test's part of the Kafka cluster.
pub struct Cluster {
    pub config: KafkaConfig,
}

impl Cluster {
    /// Without topics, on the broker that `KBNT_TEST_BOOTSTRAP` names.
    pub fn empty(test: &str) -> Self {
        Self::at(std::env::var("KBNT_TEST_BOOTSTRAP").expect("KBNT_TEST_BOOTSTRAP names a broker"), test)
    }

    /// Without topics, on this broker.
    pub fn at(bootstrap_servers: String, test: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
        let prefix = format!("{test}-{now}.");
        Self {
            config: KafkaConfig {
                bootstrap_servers,
                prefix,
                instance: test.into(),
                ..KafkaConfig::default()
            },
        }
    }

    /// With all seven topics.
    pub async fn with_topics(test: &str) -> Self {
        let cluster = Self::empty(test);
        cluster.create(&Topic::ALL).await;
        cluster
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.config.bootstrap_servers).create().unwrap()
    }

    /// Deletes every record of a topic, as its retention would.
    pub async fn expire(&self, topic: Topic) {
        self.cut(topic, |_| Offset::End).await;
    }

    /// Deletes the records of each partition of a topic before this offset.
    pub async fn cut(&self, topic: Topic, before: impl Fn(u32) -> Offset) {
        let mut list = TopicPartitionList::new();
        for partition in 0..topic.partitions() {
            let (name, number) = (self.config.topic_name(topic), i32::try_from(partition).unwrap());
            list.add_partition_offset(&name, number, before(partition)).unwrap();
        }
        let deleted = self.admin().delete_records(&list, &AdminOptions::new()).await.unwrap();
        assert!(deleted.elements().iter().all(|element| element.error().is_ok()));
    }

    /// The group of a service, which may not have ended yet, has committed nothing any more.
    pub async fn forget_group(&self, service: Service) {
        let (admin, group) = (self.admin(), self.config.group_name(service));
        kbnt_testkit::eventually("nobody is in the group", || async {
            let deleted = admin.delete_groups(&[&group], &AdminOptions::new()).await.unwrap();
            deleted.iter().all(Result::is_ok)
        })
        .await;
    }

    /// The group of a service goes on with the first record that a topic has.
    pub async fn rewind_group(&self, service: Service, topic: Topic) {
        let mut list = TopicPartitionList::new();
        for partition in 0..topic.partitions() {
            let first = self.log().bounds(topic, partition).await.unwrap().first;
            let (name, number) = (self.config.topic_name(topic), i32::try_from(partition).unwrap());
            list.add_partition_offset(&name, number, Offset::Offset(first.cast_signed())).unwrap();
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.config.bootstrap_servers);
        config.set("group.id", self.config.group_name(service));
        let consumer: BaseConsumer = config.create().unwrap();
        tokio::task::spawn_blocking(move || consumer.commit(&list, CommitMode::Sync)).await.unwrap().unwrap();
    }

    /// Sets the largest record that a topic takes, in bytes.
    pub async fn limit(&self, topic: Topic, bytes: &str) {
        let name = self.config.topic_name(topic);
        let alter = AlterConfig::new(ResourceSpecifier::Topic(&name)).set("max.message.bytes", bytes);
        for altered in self.admin().alter_configs([&alter], &AdminOptions::new()).await.unwrap() {
            altered.unwrap();
        }
    }

    /// Deletes a topic and makes it again, empty.
    pub async fn replace(&self, topic: Topic) {
        let name = self.config.topic_name(topic);
        for deleted in self.admin().delete_topics(&[&name], &AdminOptions::new()).await.unwrap() {
            deleted.unwrap();
        }
        let gone =
            || async { matches!(self.log().topic_id(topic).await, Err(LogError::NoSuchPartition { .. })) };
        kbnt_testkit::eventually("the topic is gone", gone).await;
        self.create(&[topic]).await;
        kbnt_testkit::eventually("it is there again", || async { self.log().topic_id(topic).await.is_ok() })
            .await;
    }

    pub async fn create(&self, topics: &[Topic]) {
        let admin = self.admin();
        let names: Vec<String> = topics.iter().map(|topic| self.config.topic_name(*topic)).collect();
        let wanted: Vec<NewTopic<'_>> = topics
            .iter()
            .zip(&names)
            .map(|(topic, name)| {
                let partitions = i32::try_from(topic.partitions()).unwrap();
                let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
                // With the operator's setting.
                if *topic == Topic::AuditLogs { new.set("max.message.bytes", "4194304") } else { new }
            })
            .collect();
        for created in admin.create_topics(&wanted, &AdminOptions::new()).await.unwrap() {
            created.unwrap();
        }
    }

    pub fn log(&self) -> KafkaLog {
        KafkaLog::new(self.config.clone()).unwrap()
    }
}
