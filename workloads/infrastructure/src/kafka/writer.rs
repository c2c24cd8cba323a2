//! Writes events with an idempotent producer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::ports::{LogError, RawRecord};
use kbnt_application::{Position, Topic};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use tokio::sync::oneshot;

use super::client;
use super::config::KafkaConfig;
use super::error;
use super::life::Life;
use super::polled::Polled;
use super::replaceable::{Current, Replaceable};
use super::watch::Watch;

/// How long to wait for room in a full queue.
const FULL: Duration = Duration::from_millis(2);

/// A record on its way to the cluster.
pub(super) struct Outgoing {
    pub(super) topic: Topic,
    pub(super) partition: u32,
    pub(super) record: RawRecord,
}

/// Writes with one producer at a time.
pub(super) struct Writer {
    config: Arc<KafkaConfig>,
    pub(super) producer: Replaceable<Producer>,
}

pub(super) type Producer = Polled<Acks>;

/// Receives acknowledgements.
pub(super) struct Acks {
    life: Arc<Life>,
}

/// Where a record lies, by partition and offset.
type Outcome = Result<(u32, u64), KafkaError>;

/// A batch that waits for its acknowledgements.
pub(super) struct Batch {
    outcomes: Mutex<Vec<Option<Outcome>>>,
    missing: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl Batch {
    fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, all) = oneshot::channel();
        let outcomes = Mutex::new(vec![None; count]);
        (Arc::new(Self { outcomes, missing: AtomicUsize::new(count), done: Mutex::new(Some(done)) }), all)
    }

    fn ended(&self, index: usize, outcome: Outcome) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = outcomes.get_mut(index) {
            *slot = Some(outcome);
        }
        drop(outcomes);
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Whoever gave up waiting does not need to know.
            let _ = done.map(|done| done.send(()));
        }
    }
}

impl ClientContext for Acks {
    fn error(&self, error: KafkaError, reason: &str) {
        client::note(&self.life, &error, reason);
    }
}

impl ProducerContext for Acks {
    type DeliveryOpaque = Box<(Arc<Batch>, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Self::DeliveryOpaque) {
        let outcome = match result {
            Ok(message) => {
                self.life.heard();
                Ok((
                    u32::try_from(message.partition()).unwrap_or(0),
                    u64::try_from(message.offset()).unwrap_or(0),
                ))
            }
            Err((error, _)) => Err(error.clone()),
        };
        ticket.0.ended(ticket.1, outcome);
    }
}

impl Writer {
    pub(super) fn new(config: &Arc<KafkaConfig>, watch: &Arc<Watch>) -> Result<Self, LogError> {
        let (settings, watching) = (config.writer(), Arc::clone(watch));
        let make = move |life: &Arc<Life>| {
            client::create(&watching.with_credentials(settings.clone()), Acks { life: Arc::clone(life) })
        };
        Ok(Self { config: Arc::clone(config), producer: Replaceable::new(watch.life("writer"), make)? })
    }

    /// Hands records to the producer, in order.
    pub(super) async fn send(self: Arc<Self>, records: Vec<Outgoing>) -> Sent {
        let producer = self.producer.current();
        let (batch, all) = Batch::new(records.len());
        for (index, outgoing) in records.iter().enumerate() {
            self.send_one(&producer, outgoing, &batch, index).await;
        }
        Sent { writer: self, producer, records, batch, all }
    }

    /// Hands one record to the producer, waiting for room in its queue.
    async fn send_one(
        &self,
        producer: &Current<Producer>,
        outgoing: &Outgoing,
        batch: &Arc<Batch>,
        index: usize,
    ) {
        let topic = self.config.topic_name(outgoing.topic);
        // The record's time is the client's own: one that a machine decided may lie beyond what a broker keeps or takes.
        let RawRecord { key, value, headers, at: _ } = &outgoing.record;
        let mut record: BaseRecord<'_, [u8], [u8], _> =
            BaseRecord::with_opaque_to(&topic, Box::new((Arc::clone(batch), index)));
        record.key = key.as_deref();
        record.payload = value.as_deref();
        record.partition = i32::try_from(outgoing.partition).ok();
        let mut owned = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            owned = owned.insert(Header { key, value: value.as_deref() });
        }
        record.headers = Some(owned);
        loop {
            match producer.send(record) {
                Ok(()) => return,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if !producer.is_retired() =>
                {
                    record = back;
                    tokio::time::sleep(FULL).await;
                }
                Err((error, _)) => return batch.ended(index, Err(error)),
            }
        }
    }

    /// What became of a record that failed. A producer that cannot go on is replaced; what it held failed with it, so
    /// nothing overtakes.
    fn failed(&self, producer: &Arc<Current<Producer>>, outgoing: &Outgoing, error: &KafkaError) -> LogError {
        if producer.client().fatal_error().is_some() {
            tracing::warn!(%error, "the Kafka producer cannot go on");
            return match self.producer.replace(producer) {
                Ok(()) => LogError::Unavailable(error.to_string()),
                Err(error) => error,
            };
        }
        error::on_partition(error, &self.config.topic_name(outgoing.topic), outgoing.partition)
    }
}

/// Records that the producer has.
pub(super) struct Sent {
    writer: Arc<Writer>,
    producer: Arc<Current<Producer>>,
    records: Vec<Outgoing>,
    batch: Arc<Batch>,
    all: oneshot::Receiver<()>,
}

impl Sent {
    /// Returns when all is acknowledged by all in-sync replicas, or all that failed has failed.
    pub(super) async fn ended(mut self) -> Result<Vec<Position>, LogError> {
        // The batch keeps the sender until the last record has ended.
        tokio::select! {
            _ = &mut self.all => {}
            () = self.producer.retired() => {
                // What it still holds is written by the next one, as a whole batch and in order: all of it fails now. Some
                // of it may arrive yet; whoever reads it twice knows its ids.
                self.producer.purge(PurgeConfig::default().queue().inflight());
                let _ = self.all.await;
            }
        }
        let outcomes =
            std::mem::take(&mut *self.batch.outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        let mut positions = Vec::with_capacity(self.records.len());
        for (outgoing, outcome) in self.records.iter().zip(outcomes) {
            match outcome {
                Some(Ok((partition, offset))) => {
                    positions.push(Position { topic: outgoing.topic, partition, offset });
                }
                Some(Err(error)) => return Err(self.writer.failed(&self.producer, outgoing, &error)),
                None => return Err(LogError::Unavailable("the producer has gone".to_owned())),
            }
        }
        Ok(positions)
    }
}
