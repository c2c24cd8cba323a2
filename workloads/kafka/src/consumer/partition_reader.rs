//! Reads given partitions, without a consumer group. Their topics need not exist yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kbnt_application::Position;
use kbnt_application::intact::Bounds;
use kbnt_application::ports::{Fetched, LogError, LogReader};
use kbnt_domain::Span;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use tokio::sync::mpsc;

use super::polling_consumer::{CHANNEL_CAPACITY, PollingConsumer};
use super::record_cache::CacheReader;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::ConnectionHealth;
use crate::client::metadata::{self, HealthContext, MetadataClient as _};
use crate::client::supervisor::ClientSupervisor;
use crate::client::thread::{StopFlag, spawn};
use crate::client::{error, kafka_offset, partition_id};

/// How often the reader looks for partitions that do not exist yet.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(1);

/// What the polling thread sends to its reader.
enum ReaderUpdate {
    Records(Vec<Fetched>),
    /// The thread reads these partitions from here on; the log keeps no earlier record.
    Started(Vec<Position>),
    Failed(LogError),
}

/// Reads given partitions from given positions on.
pub(crate) struct PartitionReader {
    health: Arc<ConnectionHealth>,
    updates: mpsc::Receiver<ReaderUpdate>,
    stop: StopFlag,
    next: Vec<Position>,
    /// Records that are fetched and not yet returned.
    buffer: VecDeque<Fetched>,
}

impl PartitionReader {
    /// Starts the polling thread.
    pub(crate) fn open(
        config: &Arc<KafkaConfig>,
        supervisor: &Arc<ClientSupervisor>,
        from: Vec<Position>,
        cache: CacheReader,
    ) -> Result<Self, LogError> {
        let (settings, credentials) = (config.partition_reader(), Arc::clone(supervisor));
        let health = supervisor.register("reader");
        let client_health = Arc::clone(&health);
        let factory = move || {
            let settings = credentials.with_credentials(settings.clone());
            metadata::create(&settings, HealthContext::new(&client_health))
        };
        let (send, updates) = mpsc::channel(CHANNEL_CAPACITY);
        let consumer = PollingConsumer::new(factory, config, &health, cache, send)?;
        let stop = consumer.stop.clone();
        let next = from.clone();
        spawn("kafka-reader", move || poll_loop(consumer, next))?;
        Ok(Self { health, updates, stop, next: from, buffer: VecDeque::new() })
    }

    /// Takes at most `most` records from the buffer.
    fn take(&mut self, most: usize) -> Vec<Fetched> {
        let records: Vec<Fetched> = self.buffer.drain(..most.min(self.buffer.len())).collect();
        for record in &records {
            let at = record.at();
            advance(&mut self.next, Position { offset: at.offset + 1, ..at });
        }
        records
    }

    fn apply(&mut self, update: ReaderUpdate) -> Result<(), LogError> {
        match update {
            ReaderUpdate::Records(records) => self.buffer.extend(records),
            ReaderUpdate::Started(positions) => {
                for at in positions {
                    advance(&mut self.next, at);
                }
            }
            ReaderUpdate::Failed(error) => return Err(error),
        }
        Ok(())
    }
}

impl Drop for PartitionReader {
    fn drop(&mut self) {
        self.stop.set();
    }
}

/// Moves the position in a partition forward, to `at`.
fn advance(next: &mut [Position], at: Position) {
    let here = |next: &&mut Position| next.topic == at.topic && next.partition == at.partition;
    if let Some(next) = next.iter_mut().find(here) {
        next.offset = next.offset.max(at.offset);
    }
}

/// Polls until the stop flag is set or the receiver is gone.
fn poll_loop(mut consumer: PollingConsumer<HealthContext, ReaderUpdate>, mut next: Vec<Position>) {
    let mut missing = next.clone();
    let mut last_discovery: Option<Instant> = None;
    while !consumer.stop.is_set() {
        if consumer.health.is_renewal_due() && consumer.renew() {
            // The new consumer continues after the last record that was sent.
            (missing, last_discovery) = (next.clone(), None);
        }
        if !missing.is_empty() && last_discovery.is_none_or(|at| at.elapsed() >= DISCOVERY_INTERVAL) {
            last_discovery = Some(Instant::now());
            let received = match start(&mut consumer, &mut missing) {
                Ok(started) => {
                    for at in &started {
                        advance(&mut next, *at);
                    }
                    started.is_empty() || consumer.send(ReaderUpdate::Started(started))
                }
                Err(error) => consumer.send(ReaderUpdate::Failed(error)),
            };
            if !received {
                return;
            }
        }
        consumer.update_paused([]);
        let update = match consumer.poll() {
            Ok(records) if records.is_empty() => continue,
            Ok(records) => {
                for at in records.iter().map(Fetched::at) {
                    advance(&mut next, Position { offset: at.offset + 1, ..at });
                }
                ReaderUpdate::Records(records)
            }
            Err(error) => ReaderUpdate::Failed(error),
        };
        if !consumer.send(update) {
            return;
        }
    }
}

/// Starts to read those of `missing` that exist by now, and returns where.
fn start(
    consumer: &mut PollingConsumer<HealthContext, ReaderUpdate>,
    missing: &mut Vec<Position>,
) -> Result<Vec<Position>, LogError> {
    let mut started = Vec::new();
    for at in missing.iter().filter(|at| exists(consumer, at)) {
        let name = consumer.config.topic_name(at.topic);
        let Bounds { first, end } =
            metadata::watermarks_or_renewal(&consumer.consumer, &consumer.health, &name, at.partition)?;
        started.push((Position { offset: at.offset.max(first), ..*at }, end));
    }
    let mut list = TopicPartitionList::with_capacity(started.len());
    for (at, _) in &started {
        let (name, partition) = (consumer.config.topic_name(at.topic), partition_id(at.partition));
        // The name is valid and the offset in range, so this cannot fail.
        let _ = list.add_partition_offset(&name, partition, kafka_offset(at.offset));
    }
    if !started.is_empty() {
        consumer.consumer.incremental_assign(&list).map_err(|error| error::of_client(&error))?;
    }
    for (from, end) in &started {
        consumer.start_pacing(*from, *end);
    }
    let started: Vec<Position> = started.into_iter().map(|(from, _)| from).collect();
    let is_started =
        |at: &Position| started.iter().any(|s| (s.topic, s.partition) == (at.topic, at.partition));
    missing.retain(|at| !is_started(at));
    Ok(started)
}

/// Whether the partition exists; false if the cluster does not respond, so that it is looked for again.
fn exists(consumer: &PollingConsumer<HealthContext, ReaderUpdate>, at: &Position) -> bool {
    consumer.consumer.has_partition(&consumer.config.topic_name(at.topic), at.partition)
}

#[async_trait]
impl LogReader for PartitionReader {
    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError> {
        if self.buffer.is_empty() {
            let wait = Duration::from_millis(wait.as_millis());
            match tokio::time::timeout(wait, self.updates.recv()).await {
                Ok(Some(update)) => self.apply(update)?,
                Ok(None) => return Err(LogError::Refused("the reader has ended".to_owned())),
                Err(_) => self.health.check()?,
            }
        }
        while self.buffer.len() < most {
            let Ok(update) = self.updates.try_recv() else { break };
            self.apply(update)?;
        }
        Ok(self.take(most))
    }

    fn positions(&self) -> Vec<Position> {
        self.next.clone()
    }
}
