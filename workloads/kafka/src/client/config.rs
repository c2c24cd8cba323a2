//! How to reach the cluster, and the settings of each kind of client.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kbnt_application::{Service, Topic};
use rdkafka::ClientConfig;

use crate::client::security::{Credentials, Security};

/// The address of the cluster, the identity of the process, and settings of all its clients.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port[,host:port]`.
    pub bootstrap_servers: String,
    /// Prefix of the names of topics and consumer groups.
    pub prefix: String,
    /// The client id, which brokers log.
    pub instance: String,
    /// The group instance id, with which the process keeps its partitions across a crash (static membership, KIP-345). It must stay
    /// the same across restarts, and be unique in the service.
    pub static_member: Option<String>,
    /// Encryption and authentication.
    pub security: Security,
    /// A client that hears nothing for this long from a cluster that answers others is renewed.
    pub renew_after: Duration,
    /// Further properties of librdkafka, which override those set here.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: String::new(),
            prefix: String::new(),
            instance: String::new(),
            static_member: None,
            security: Security::default(),
            renew_after: Duration::from_secs(30),
            properties: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for KafkaConfig {
    /// Shows the names of the further properties but no values, as some are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("prefix", &self.prefix)
            .field("instance", &self.instance)
            .field("static_member", &self.static_member)
            .field("security", &self.security)
            .field("renew_after", &self.renew_after)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

impl KafkaConfig {
    /// The topic's name on the cluster.
    pub fn topic_name(&self, topic: Topic) -> String {
        format!("{}{}", self.prefix, topic.name())
    }

    /// The topic with this name on the cluster.
    pub fn topic_of(&self, name: &str) -> Option<Topic> {
        Topic::from_name(name.strip_prefix(self.prefix.as_str())?)
    }

    /// The name of the consumer group of a service.
    pub fn group_name(&self, service: Service) -> String {
        format!("{}kbnt-{}", self.prefix, service.name())
    }

    /// Settings of every client.
    fn client(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        let common = [
            ("bootstrap.servers", self.bootstrap_servers.as_str()),
            ("client.id", self.instance.as_str()),
            ("allow.auto.create.topics", "false"),
            ("reconnect.backoff.ms", "50"),
            ("reconnect.backoff.max.ms", "1000"),
            ("socket.timeout.ms", "20000"),
            ("socket.keepalive.enable", "true"),
            ("socket.nagle.disable", "true"),
            ("log.connection.close", "false"),
        ];
        for (key, value) in common.into_iter().chain(settings.iter().copied()) {
            config.set(key, value);
        }
        config
    }

    /// Adds the credentials and the further properties to the settings of a client.
    pub(crate) fn with_credentials(
        &self,
        mut settings: ClientConfig,
        credentials: &Credentials,
    ) -> ClientConfig {
        for (key, value) in credentials.properties() {
            settings.set(key, value);
        }
        for (key, value) in &self.properties {
            settings.set(key, value);
        }
        settings
    }

    /// Settings of the producer that writes events in order and exactly once. A record never times out in the producer, as later
    /// records would overtake it.
    pub(crate) fn event_producer(&self) -> ClientConfig {
        self.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "0"),
            ("compression.type", "lz4"),
            // Long enough for a whole batch of appends to enter the queue.
            ("linger.ms", "5"),
            ("batch.size", "786432"),
            // The limit of audit-logs, which keeps unreadable records whole.
            ("message.max.bytes", "4194304"),
            ("queue.buffering.max.messages", "20000"),
            ("queue.buffering.max.kbytes", "32768"),
            ("request.timeout.ms", "10000"),
        ])
    }

    /// Settings of the producer of log lines, which is cheap and may drop lines.
    pub(crate) fn log_line_producer(&self) -> ClientConfig {
        self.client(&[
            ("acks", "1"),
            ("message.timeout.ms", "10000"),
            ("partitioner", "murmur2_random"),
            ("compression.type", "lz4"),
            ("linger.ms", "200"),
            ("queue.buffering.max.messages", "10000"),
            ("queue.buffering.max.kbytes", "4096"),
        ])
    }

    /// Settings of every consumer. They bound its memory, whatever its lag.
    fn consumer(&self, group: &str, settings: &[(&str, &str)]) -> ClientConfig {
        let common = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            // A broker that answers every fetch with a single record is soon overloaded, so it collects records for a moment. This
            // also forms the batches of a service, and is on average half of the latency of a hop.
            ("fetch.min.bytes", "131072"),
            ("fetch.wait.max.ms", "40"),
            ("fetch.error.backoff.ms", "100"),
            ("fetch.max.bytes", "1048576"),
            ("max.partition.fetch.bytes", "262144"),
            // With the default of a second, a service that keeps up would have that latency whenever its queue is full.
            ("fetch.queue.backoff.ms", "10"),
            ("queued.min.messages", "2000"),
            ("queued.max.messages.kbytes", "8192"),
            ("topic.metadata.refresh.interval.ms", "30000"),
        ];
        self.client(&common.into_iter().chain(settings.iter().copied()).collect::<Vec<_>>())
    }

    /// Settings of a consumer that reads given partitions. librdkafka requires a group name; nothing is committed to that group.
    pub(crate) fn partition_reader(&self) -> ClientConfig {
        self.consumer(&format!("{}kbnt-reader", self.prefix), &[])
    }

    /// Settings of a member of a service's consumer group.
    pub(crate) fn group_member(&self, service: Service) -> ClientConfig {
        let mut settings = vec![
            // librdkafka commits the stored offsets this often, so a restarted service repeats at most this much.
            ("enable.auto.commit", "true"),
            ("auto.commit.interval.ms", "1000"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            // Longer than the longest fold of a partition.
            ("max.poll.interval.ms", "900000"),
        ];
        if matches!(service, Service::Audit | Service::Notification) {
            // No order waits for these services.
            settings.extend([
                ("fetch.min.bytes", "524288"),
                ("fetch.wait.max.ms", "100"),
                ("queued.min.messages", "20000"),
            ]);
        }
        if let Some(name) = &self.static_member {
            settings.push(("group.instance.id", name));
        }
        self.consumer(&self.group_name(service), &settings)
    }

    /// Settings of a client that only asks where the group of a service has stopped.
    pub(crate) fn group_offsets(&self, service: Service) -> ClientConfig {
        self.client(&[("group.id", &self.group_name(service)), ("enable.auto.commit", "false")])
    }

    /// Settings of a client that only asks for metadata and watermarks.
    pub(crate) fn metadata_client(&self) -> ClientConfig {
        self.client(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_prefix_and_lose_it_again() {
        let config = KafkaConfig { prefix: "a.".into(), ..KafkaConfig::default() };
        assert_eq!(config.topic_name(Topic::AuditLogs), "a.audit-logs");
        assert_eq!(config.topic_of("a.audit-logs"), Some(Topic::AuditLogs));
        assert_eq!(config.topic_of("audit-logs"), None);
        assert_eq!(config.group_name(Service::User), "a.kbnt-user-service");
    }

    #[test]
    fn further_properties_win_and_stay_secret() {
        let properties = BTreeMap::from([
            ("sasl.password".to_owned(), "hunter2".to_owned()),
            ("linger.ms".to_owned(), "9".to_owned()),
        ]);
        let config = KafkaConfig { properties, ..KafkaConfig::default() };
        let producer = config.with_credentials(config.event_producer(), &Credentials::default());
        assert_eq!(producer.get("linger.ms"), Some("9"));
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
