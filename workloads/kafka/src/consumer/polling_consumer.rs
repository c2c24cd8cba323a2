//! A consumer with what every thread that polls one needs: it decodes records, sends them through a bounded channel, pauses
//! partitions, probes the cluster, and can be renewed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbnt_application::ports::{Fetched, LogError, RawRecord};
use kbnt_application::{Position, Topic};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use super::catch_up_pacing::CatchUpPacing;
use super::decode::decode;
use super::record_cache::CacheReader;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::ConnectionHealth;
use crate::client::metadata::{self, MetadataClient as _};
use crate::client::thread::{StopFlag, spawn};
use crate::client::{TopicPartition, error, partition_id};

/// How long a poll waits, and so how long a stop may go unnoticed.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// The most records that one poll returns.
const MAX_RECORDS: usize = 500;

/// A poll ends at this many bytes of records that keep their bytes, as these can be large.
const MAX_BYTES: usize = 2 << 20;

/// The number of updates that may wait in the channel.
pub(crate) const CHANNEL_CAPACITY: usize = 4;

/// A consumer, and the channel through which its thread sends updates of type `T`.
pub(crate) struct PollingConsumer<C: ConsumerContext + 'static, T> {
    pub(crate) consumer: BaseConsumer<C>,
    factory: Factory<C>,
    pub(crate) config: Arc<KafkaConfig>,
    pub(crate) health: Arc<ConnectionHealth>,
    updates: mpsc::Sender<T>,
    pub(crate) stop: StopFlag,
    /// The topic to probe the cluster with.
    probe_topic: String,
    cache: CacheReader,
    pacing: CatchUpPacing,
    paused: BTreeSet<TopicPartition>,
}

type Factory<C> = Box<dyn Fn() -> Result<BaseConsumer<C>, LogError> + Send>;

impl<C: ConsumerContext + 'static, T> PollingConsumer<C, T> {
    /// Creates the first consumer.
    pub(crate) fn new(
        factory: impl Fn() -> Result<BaseConsumer<C>, LogError> + Send + 'static,
        config: &Arc<KafkaConfig>,
        health: &Arc<ConnectionHealth>,
        cache: CacheReader,
        updates: mpsc::Sender<T>,
    ) -> Result<Self, LogError> {
        Ok(Self {
            consumer: factory()?,
            factory: Box::new(factory),
            config: Arc::clone(config),
            health: Arc::clone(health),
            updates,
            stop: StopFlag::default(),
            probe_topic: config.topic_name(Topic::InventoryEvents),
            cache,
            pacing: CatchUpPacing::default(),
            paused: BTreeSet::new(),
        })
    }

    /// Replaces the consumer with a new one, which reads nothing yet. Returns whether that succeeded.
    pub(crate) fn renew(&mut self) -> bool {
        let renewed = (self.factory)().and_then(|new| {
            let old = std::mem::replace(&mut self.consumer, new);
            self.health.record_renewal();
            self.pacing.clear();
            self.paused.clear();
            // Closing it can take a while.
            spawn("kafka-close", move || drop(old))
        });
        if let Err(error) = &renewed {
            tracing::warn!(client = self.health.client(), %error, "cannot renew a Kafka client");
        }
        renewed.is_ok()
    }

    /// Returns the records that have arrived; waits for the first one.
    pub(crate) fn poll(&mut self) -> Result<Vec<Fetched>, LogError> {
        let mut records = Vec::new();
        let mut timeout = POLL_TIMEOUT;
        let mut bytes = 0;
        while records.len() < MAX_RECORDS && bytes < MAX_BYTES {
            match self.consumer.poll(timeout) {
                Some(Ok(message)) => {
                    records.extend(decode(&self.config, &self.cache, &message));
                    bytes += records.last().and_then(Fetched::raw).map_or(0, RawRecord::size);
                }
                Some(Err(error)) => self.check_error(&error)?,
                None => break,
            }
            timeout = Duration::ZERO;
        }
        if !records.is_empty() {
            self.health.record_response();
        }
        let now = Instant::now();
        for fetched in &records {
            self.pacing.record_read(fetched.at(), now);
        }
        self.probe_if_due();
        Ok(records)
    }

    /// Paces a partition that is now read from `from` on, and whose end offset is `end`.
    pub(crate) fn start_pacing(&mut self, from: Position, end: u64) {
        self.pacing.start(from, end, Instant::now());
    }

    /// Stops pacing partitions that are about to be unassigned, and resumes them.
    pub(crate) fn stop_pacing(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.pacing.remove(*partition);
        }
        let kept = self.paused.iter().copied().filter(|partition| !partitions.contains(partition)).collect();
        self.pause_exactly(kept);
    }

    /// Pauses `held` and the partitions that are too far ahead, and resumes all others.
    pub(crate) fn update_paused(&mut self, held: impl IntoIterator<Item = TopicPartition>) {
        let mut paused = self.pacing.partitions_to_pause(Instant::now());
        paused.extend(held);
        self.pause_exactly(paused);
    }

    /// Pauses these partitions, and resumes all others.
    fn pause_exactly(&mut self, wanted: BTreeSet<TopicPartition>) {
        if wanted == self.paused {
            return;
        }
        let pause = self.partition_list(wanted.difference(&self.paused));
        let resume = self.partition_list(self.paused.difference(&wanted));
        let paused = if pause.count() > 0 { self.consumer.pause(&pause) } else { Ok(()) };
        let resumed = if resume.count() > 0 { self.consumer.resume(&resume) } else { Ok(()) };
        if let Err(error) = paused.and(resumed) {
            tracing::debug!(client = self.health.client(), %error, "cannot pause or resume partitions");
        }
        self.paused = wanted;
    }

    /// The partitions in the type of librdkafka.
    pub(crate) fn partition_list<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in partitions {
            list.add_partition(&self.config.topic_name(*topic), partition_id(*partition));
        }
        list
    }

    /// Returns an error that does not pass by itself. Any other is only logged, as librdkafka retries.
    fn check_error(&self, error: &KafkaError) -> Result<(), LogError> {
        metadata::record_error(&self.health, error, "poll failed");
        match error::of_client(error) {
            refused @ (LogError::Refused(_) | LogError::TooLarge(_)) => Err(refused),
            _ => Ok(()),
        }
    }

    /// Probes the cluster if it has been silent for a while.
    pub(crate) fn probe_if_due(&self) {
        if self.health.take_probe() {
            self.health.record_probe(self.consumer.probe(&self.probe_topic));
        }
    }

    /// Sends `update` as soon as the channel has room. Returns false once the receiver is gone.
    pub(crate) fn send(&self, mut update: T) -> bool {
        loop {
            match self.updates.try_send(update) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                Err(mpsc::error::TrySendError::Full(returned)) => update = returned,
            }
            if self.stop.is_set() {
                return false;
            }
            self.probe_if_due();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
