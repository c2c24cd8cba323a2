//! Writes events with an idempotent producer.

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

use super::outgoing::Outgoing;
use super::polled_producer::Polled;
use crate::client::Place;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::Life;
use crate::client::error;
use crate::client::metadata as client;
use crate::client::number;
use crate::client::renewable::{Current, Replaceable};
use crate::client::supervisor::Watch;

/// How long to wait for room in a full queue.
const FULL: Duration = Duration::from_millis(2);

/// Writes with one producer at a time.
pub(crate) struct Writer {
    config: Arc<KafkaConfig>,
    pub(crate) producer: Replaceable<Producer>,
}

pub(crate) type Producer = Polled<Acks>;

/// Receives acknowledgements.
pub(crate) struct Acks {
    life: Arc<Life>,
}

/// The offset of a record.
type Outcome = Result<u64, KafkaError>;

/// Where records lie, in order.
pub(crate) type Written = Result<Vec<Position>, LogError>;

/// A batch that waits for its acknowledgements.
pub(crate) struct Batch {
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

    fn outcomes(&self) -> MutexGuard<'_, Vec<Option<Outcome>>> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self, index: usize, outcome: Outcome) {
        if let Some(slot) = self.outcomes().get_mut(index) {
            *slot = Some(outcome);
        }
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Whoever gave up waiting does not need to know.
            let _ = done.map(|done| done.send(()));
        }
    }

    /// What became of each record.
    fn take(&self) -> Vec<Option<Outcome>> {
        std::mem::take(&mut *self.outcomes())
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
                acknowledged(message.offset())
            }
            Err((error, _)) => Err(error.clone()),
        };
        ticket.0.ended(ticket.1, outcome);
    }
}

/// What an acknowledged record's offset says. librdkafka gives none for a record that the broker knows already: it was sent twice, and the
/// first answer was lost. Whoever wrote it waits to read it back from where it lies, so it is written again, under its own id.
fn acknowledged(offset: i64) -> Outcome {
    u64::try_from(offset)
        .map_err(|_| KafkaError::MessageProduction(RDKafkaErrorCode::DuplicateSequenceNumber))
}

impl Writer {
    pub(crate) fn new(config: &Arc<KafkaConfig>, watch: &Arc<Watch>) -> Result<Self, LogError> {
        let (settings, watching) = (config.writer(), Arc::clone(watch));
        let make = move |life: &Arc<Life>| {
            client::create(&watching.with_credentials(settings.clone()), Acks { life: Arc::clone(life) })
        };
        Ok(Self { config: Arc::clone(config), producer: Replaceable::new(watch.life("writer"), make)? })
    }

    /// Writes portions of records to a partition, in order; returns when all is acknowledged by all in-sync replicas, or all that
    /// failed has failed. Tells of each portion where it lies.
    pub(crate) async fn write(&self, place: Place, portions: Vec<Vec<Outgoing>>) -> Vec<Written> {
        let producer = self.producer.current();
        let counts: Vec<usize> = portions.iter().map(Vec::len).collect();
        let (batch, mut all) = Batch::new(counts.iter().sum());
        let topic = self.config.topic_name(place.0);
        for (index, outgoing) in portions.into_iter().flatten().enumerate() {
            send(&producer, (&topic, number(place.1)), outgoing, &batch, index).await;
        }
        // The batch keeps the sender until the last record has ended.
        tokio::select! {
            _ = &mut all => {}
            () = producer.retired() => {
                // What it still holds is written by the next one, as a whole batch and in order: all of it fails now. Some
                // of it may arrive yet; whoever reads it twice knows its ids.
                producer.purge(PurgeConfig::default().queue().inflight());
                let _ = all.await;
            }
        }
        let position = |outcome| self.position(&producer, place, outcome);
        let written = |outcomes: Vec<_>| outcomes.into_iter().map(position).collect();
        by_portion(counts, batch.take()).map(written).collect()
    }

    /// Where a record lies.
    fn position(
        &self,
        producer: &Arc<Current<Producer>>,
        (topic, partition): Place,
        outcome: Option<Outcome>,
    ) -> Result<Position, LogError> {
        match outcome {
            Some(Ok(offset)) => Ok(Position { topic, partition, offset }),
            Some(Err(error)) => Err(self.failed(producer, (topic, partition), &error)),
            None => Err(LogError::Unavailable("the producer has gone".to_owned())),
        }
    }

    /// What became of a record that failed. A producer that cannot go on is replaced; what it held failed with it, so
    /// nothing overtakes.
    fn failed(
        &self,
        producer: &Arc<Current<Producer>>,
        (topic, partition): Place,
        error: &KafkaError,
    ) -> LogError {
        if producer.client().fatal_error().is_some() {
            tracing::warn!(%error, "the Kafka producer cannot go on");
            return match self.producer.replace(producer) {
                Ok(()) => LogError::Unavailable(error.to_string()),
                Err(error) => error,
            };
        }
        error::on_partition(error, &self.config.topic_name(topic), partition)
    }
}

/// The outcomes of each portion, of portions of so many records.
fn by_portion(
    counts: Vec<usize>,
    outcomes: Vec<Option<Outcome>>,
) -> impl Iterator<Item = Vec<Option<Outcome>>> {
    let mut outcomes = outcomes.into_iter();
    counts.into_iter().map(move |count| outcomes.by_ref().take(count).collect())
}

/// Hands one record to the producer, waiting for room in its queue.
async fn send(
    producer: &Current<Producer>,
    (topic, partition): (&str, i32),
    outgoing: Outgoing,
    batch: &Arc<Batch>,
    index: usize,
) {
    let mut record: BaseRecord<'_, [u8], [u8], _> =
        BaseRecord::with_opaque_to(topic, Box::new((Arc::clone(batch), index)));
    record.partition = Some(partition);
    record.key = outgoing.key.as_deref();
    record.payload = outgoing.value.as_deref();
    record.headers = Some(outgoing.headers);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_without_an_offset_is_written_again() {
        assert_eq!(acknowledged(7), Ok(7));
        let error = acknowledged(-1).unwrap_err();
        assert!(matches!(error::on_partition(&error, "order-events", 0), LogError::Unavailable(_)));
    }

    #[test]
    fn a_portion_that_failed_leaves_the_others_their_own_places() {
        let failed = || Some(Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)));
        let outcomes = vec![Some(Ok(7)), failed(), Some(Ok(8)), Some(Ok(9)), None, Some(Ok(10))];
        let places = |outcomes: Vec<Option<Outcome>>| -> Option<Vec<u64>> {
            outcomes.into_iter().map(|outcome| outcome?.ok()).collect()
        };
        let portions: Vec<_> = by_portion(vec![3, 1, 2], outcomes).map(places).collect();
        let expected = vec![None, Some(vec![9]), None];
        assert_eq!(portions, expected);
    }
}
