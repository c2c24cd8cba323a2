//! How to reach the cluster, and how each client of it behaves.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kbnt_application::{Service, Topic};
use rdkafka::ClientConfig;

use crate::client::security::{Credentials, Security};

/// Where the cluster is and who we are there.
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port[,host:port]`.
    pub bootstrap_servers: String,
    /// Put before the names of topics and groups.
    pub prefix: String,
    /// Who this process is, in the broker's logs.
    pub instance: String,
    /// The name under which this process keeps its partitions over a crash (KIP-345); only for a process whose name comes back, and
    /// that no other one of its service has.
    pub static_member: Option<String>,
    /// How to be let in.
    pub security: Security,
    /// How long a client may hear nothing from a cluster that answers others before another client takes its place.
    pub renew_after: Duration,
    /// Further properties of librdkafka; they win over ours.
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
    /// Names the further properties, but shows no value: some are secret.
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

    /// The topic of this name on the cluster.
    pub fn topic_of(&self, name: &str) -> Option<Topic> {
        Topic::from_name(name.strip_prefix(self.prefix.as_str())?)
    }

    /// The group in which the processes of a service share their work.
    pub fn group_name(&self, service: Service) -> String {
        format!("{}kbnt-{}", self.prefix, service.name())
    }

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

    /// Adds to the settings of a client what lets it in, and the further properties.
    pub(crate) fn complete(&self, mut settings: ClientConfig, credentials: &Credentials) -> ClientConfig {
        for (key, value) in credentials.properties() {
            settings.set(key, value);
        }
        for (key, value) in &self.properties {
            settings.set(key, value);
        }
        settings
    }

    /// Writes events: in order, once, and for as long as it takes. Records never time out in the producer: one that did
    /// would let the records after it overtake it.
    pub(crate) fn writer(&self) -> ClientConfig {
        self.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "0"),
            ("compression.type", "lz4"),
            // Long enough for a whole burst to come into the queue.
            ("linger.ms", "5"),
            ("batch.size", "786432"),
            // What the topic of the audit trail takes, which keeps records that nobody understands.
            ("message.max.bytes", "4194304"),
            ("queue.buffering.max.messages", "20000"),
            ("queue.buffering.max.kbytes", "32768"),
            ("request.timeout.ms", "10000"),
        ])
    }

    /// Writes log lines: cheaply, or not at all.
    pub(crate) fn lines(&self) -> ClientConfig {
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

    /// Reads, with bounded memory however far behind it is.
    fn consumer(&self, group: &str, settings: &[(&str, &str)]) -> ClientConfig {
        let common = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            // A broker that answers each record at once works for little else when there are many: it collects for a moment. That
            // makes the batches of a service, too, and is half of the latency of a hop, on average.
            ("fetch.min.bytes", "131072"),
            ("fetch.wait.max.ms", "40"),
            ("fetch.error.backoff.ms", "100"),
            ("fetch.max.bytes", "1048576"),
            ("max.partition.fetch.bytes", "262144"),
            // A full queue is looked at again soon: the default of a second would be the latency of a service that keeps up.
            ("fetch.queue.backoff.ms", "10"),
            ("queued.min.messages", "2000"),
            ("queued.max.messages.kbytes", "8192"),
            ("topic.metadata.refresh.interval.ms", "30000"),
        ];
        self.client(&common.into_iter().chain(settings.iter().copied()).collect::<Vec<_>>())
    }

    /// Reads given partitions. The group is only a name that librdkafka wants; nothing is committed to it.
    pub(crate) fn reader(&self) -> ClientConfig {
        self.consumer(&format!("{}kbnt-reader", self.prefix), &[])
    }

    /// Reads as a member of a service's group.
    pub(crate) fn member(&self, service: Service) -> ClientConfig {
        let mut settings = vec![
            // What the service has stored is committed so often; whoever starts anew reads no more than that again.
            ("enable.auto.commit", "true"),
            ("auto.commit.interval.ms", "1000"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            // As long as the longest fold of a partition may take.
            ("max.poll.interval.ms", "900000"),
        ];
        if matches!(service, Service::Audit | Service::Notification) {
            // No order waits for these.
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

    /// Asks where partitions end.
    pub(crate) fn asker(&self) -> ClientConfig {
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
        let writer = config.complete(config.writer(), &Credentials::default());
        assert_eq!(writer.get("linger.ms"), Some("9"));
        let shown = format!("{config:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
