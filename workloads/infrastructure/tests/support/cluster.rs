//! Topics of a test's own, under a prefix that no other test has.

use std::time::{SystemTime, UNIX_EPOCH};

use kbnt_application::Topic;
use kbnt_infrastructure::kafka::{KafkaConfig, KafkaLog};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};

/// A corner of the cluster.
pub struct Cluster {
    pub config: KafkaConfig,
}

impl Cluster {
    /// Without any topic, on the broker that `KBNT_TEST_BOOTSTRAP` names.
    pub fn empty(test: &str) -> Self {
        Self::at(std::env::var("KBNT_TEST_BOOTSTRAP").expect("KBNT_TEST_BOOTSTRAP names a broker"), test)
    }

    /// Without any topic, on this broker.
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
    pub async fn whole(test: &str) -> Self {
        let cluster = Self::empty(test);
        cluster.create(&Topic::ALL).await;
        cluster
    }

    pub async fn create(&self, topics: &[Topic]) {
        let admin: AdminClient<_> =
            ClientConfig::new().set("bootstrap.servers", &self.config.bootstrap_servers).create().unwrap();
        let names: Vec<String> = topics.iter().map(|topic| self.config.topic_name(*topic)).collect();
        let wanted: Vec<NewTopic<'_>> = topics
            .iter()
            .zip(&names)
            .map(|(topic, name)| {
                NewTopic::new(name, i32::try_from(topic.partitions()).unwrap(), TopicReplication::Fixed(1))
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
