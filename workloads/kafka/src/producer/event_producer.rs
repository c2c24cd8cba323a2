//! The idempotent producer of events.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kbnt_application::Position;
use kbnt_application::ports::LogError;
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig};
use tokio::sync::oneshot;

use super::outgoing_record::OutgoingRecord;
use super::polled_producer::PolledProducer;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::ConnectionHealth;
use crate::client::metadata;
use crate::client::renewable::{ClientInstance, RenewableClient};
use crate::client::supervisor::ClientSupervisor;
use crate::client::{TopicPartition, error, partition_id};

/// Pause before a retry while the producer's queue is full.
const QUEUE_FULL_RETRY: Duration = Duration::from_millis(2);

/// Sends events to Kafka. A producer that cannot go on is renewed.
pub(crate) struct EventProducer {
    config: Arc<KafkaConfig>,
    pub(crate) producer: RenewableClient<Producer>,
}

type Producer = PolledProducer<DeliveryContext>;

/// Receives delivery reports.
pub(crate) struct DeliveryContext {
    health: Arc<ConnectionHealth>,
}

/// The offset of a record, or why it was not delivered.
type Delivery = Result<u64, KafkaError>;

/// The positions of appended records, in order.
pub(crate) type AppendResult = Result<Vec<Position>, LogError>;

/// A batch that waits for its delivery reports.
pub(crate) struct PendingBatch {
    deliveries: Mutex<Vec<Option<Delivery>>>,
    missing: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl PendingBatch {
    fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, all) = oneshot::channel();
        let deliveries = Mutex::new(vec![None; count]);
        (Arc::new(Self { deliveries, missing: AtomicUsize::new(count), done: Mutex::new(Some(done)) }), all)
    }

    fn deliveries(&self) -> MutexGuard<'_, Vec<Option<Delivery>>> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the delivery of the record with this index in the batch.
    fn record(&self, index: usize, delivery: Delivery) {
        if let Some(slot) = self.deliveries().get_mut(index) {
            *slot = Some(delivery);
        }
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
            // The caller may have given up.
            let _ = done.map(|done| done.send(()));
        }
    }

    /// Takes the delivery of each record.
    fn take(&self) -> Vec<Option<Delivery>> {
        std::mem::take(&mut *self.deliveries())
    }
}

impl ClientContext for DeliveryContext {
    fn error(&self, error: KafkaError, reason: &str) {
        metadata::record_error(&self.health, &error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Box<(Arc<PendingBatch>, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Self::DeliveryOpaque) {
        let delivery = match result {
            Ok(message) => {
                self.health.record_response();
                delivered_at(message.offset())
            }
            Err((error, _)) => Err(error.clone()),
        };
        let (batch, index) = *opaque;
        batch.record(index, delivery);
    }
}

/// The delivery of a record that was acknowledged with this offset. librdkafka reports no offset for a record that the broker has
/// already: it was sent twice, as the first acknowledgement was lost. Its writer waits to read it back from its offset, so the
/// record is written again with the same event id.
fn delivered_at(offset: i64) -> Delivery {
    u64::try_from(offset)
        .map_err(|_| KafkaError::MessageProduction(RDKafkaErrorCode::DuplicateSequenceNumber))
}

impl EventProducer {
    /// Creates the producer.
    pub(crate) fn new(
        config: &Arc<KafkaConfig>,
        supervisor: &Arc<ClientSupervisor>,
    ) -> Result<Self, LogError> {
        let (settings, credentials) = (config.event_producer(), Arc::clone(supervisor));
        let factory = move |health: &Arc<ConnectionHealth>| {
            let context = DeliveryContext { health: Arc::clone(health) };
            metadata::create(&credentials.with_credentials(settings.clone()), context)
        };
        let producer = RenewableClient::new(supervisor.register("writer"), factory)?;
        Ok(Self { config: Arc::clone(config), producer })
    }

    /// Sends chunks of records to a partition in order. Returns the result of each chunk when all in-sync replicas have
    /// acknowledged all records, or when every failure is known.
    pub(crate) async fn send(
        &self,
        partition: TopicPartition,
        chunks: Vec<Vec<OutgoingRecord>>,
    ) -> Vec<AppendResult> {
        let producer = self.producer.current();
        let counts: Vec<usize> = chunks.iter().map(Vec::len).collect();
        let (batch, mut all) = PendingBatch::new(counts.iter().sum());
        let topic = self.config.topic_name(partition.0);
        for (index, record) in chunks.into_iter().flatten().enumerate() {
            send_record(&producer, (&topic, partition_id(partition.1)), record, &batch, index).await;
        }
        // The batch keeps the sender until the last record is reported.
        tokio::select! {
            _ = &mut all => {}
            () = producer.retired() => {
                // All records that it still holds fail now, and the next producer writes them again as a whole batch and in order.
                // Some may have arrived; their readers recognise the event ids.
                producer.purge(PurgeConfig::default().queue().inflight());
                let _ = all.await;
            }
        }
        let position = |delivery| self.position(&producer, partition, delivery);
        let result = |deliveries: Vec<_>| deliveries.into_iter().map(position).collect();
        by_chunk(counts, batch.take()).map(result).collect()
    }

    /// The position of a record, or why it was not appended.
    fn position(
        &self,
        producer: &Arc<ClientInstance<Producer>>,
        (topic, partition): TopicPartition,
        delivery: Option<Delivery>,
    ) -> Result<Position, LogError> {
        match delivery {
            Some(Ok(offset)) => Ok(Position { topic, partition, offset }),
            Some(Err(error)) => Err(self.failed(producer, (topic, partition), &error)),
            None => Err(LogError::Unavailable("the producer is closed".to_owned())),
        }
    }

    /// Maps a delivery error. After a fatal error the producer is renewed. All records that it held have failed with it, so no
    /// record overtakes another.
    fn failed(
        &self,
        producer: &Arc<ClientInstance<Producer>>,
        (topic, partition): TopicPartition,
        error: &KafkaError,
    ) -> LogError {
        if producer.client().fatal_error().is_some() {
            tracing::warn!(%error, "the Kafka producer cannot go on");
            return match self.producer.renew(producer) {
                Ok(()) => LogError::Unavailable(error.to_string()),
                Err(error) => error,
            };
        }
        error::of_partition(error, &self.config.topic_name(topic), partition)
    }
}

/// The deliveries of each chunk, given the number of records in each chunk.
fn by_chunk(
    counts: Vec<usize>,
    deliveries: Vec<Option<Delivery>>,
) -> impl Iterator<Item = Vec<Option<Delivery>>> {
    let mut deliveries = deliveries.into_iter();
    counts.into_iter().map(move |count| deliveries.by_ref().take(count).collect())
}

/// Passes one record to the producer; waits for room in its queue.
async fn send_record(
    producer: &ClientInstance<Producer>,
    (topic, partition): (&str, i32),
    outgoing: OutgoingRecord,
    batch: &Arc<PendingBatch>,
    index: usize,
) {
    let mut record: BaseRecord<'_, [u8], [u8], _> =
        BaseRecord::with_opaque_to(topic, Box::new((Arc::clone(batch), index)));
    record.partition = Some(partition);
    record.key = outgoing.key.as_deref();
    record.payload = outgoing.value.as_deref();
    record.headers = Some(outgoing.headers);
    record.timestamp = outgoing.timestamp;
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned))
                if !producer.is_retired() =>
            {
                record = returned;
                tokio::time::sleep(QUEUE_FULL_RETRY).await;
            }
            Err((error, _)) => return batch.record(index, Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_an_offset_is_written_again() {
        assert_eq!(delivered_at(7), Ok(7));
        let error = delivered_at(-1).unwrap_err();
        assert!(matches!(error::of_partition(&error, "order-events", 0), LogError::Unavailable(_)));
    }

    #[test]
    fn a_chunk_that_failed_leaves_the_others_their_own_positions() {
        let failed = || Some(Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)));
        let deliveries = vec![Some(Ok(7)), failed(), Some(Ok(8)), Some(Ok(9)), None, Some(Ok(10))];
        let offsets = |deliveries: Vec<Option<Delivery>>| -> Option<Vec<u64>> {
            deliveries.into_iter().map(|delivery| delivery?.ok()).collect()
        };
        let chunks: Vec<_> = by_chunk(vec![3, 1, 2], deliveries).map(offsets).collect();
        let expected = vec![None, Some(vec![9]), None];
        assert_eq!(chunks, expected);
    }
}
