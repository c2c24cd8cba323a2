//! An ordered queue of appends for each partition. While one batch of a partition is in flight, the appends that arrive form the
//! next batch, which is sent once the previous one is acknowledged.
//!
//! The event producer has one request in flight per partition. If records linger in its queue for longer than such a request takes,
//! librdkafka (2.12) spins, and on a busy machine takes from the broker the CPU that it needs to answer. So records must wait here,
//! not in the producer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use kbnt_application::ports::LogError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::event_producer::{AppendResult, EventProducer};
use super::outgoing_record::OutgoingRecord;
use crate::client::TopicPartition;

/// The most bytes that one caller may add to a batch: less than the producer puts into one request.
const MAX_CHUNK_BYTES: usize = 512 << 10;

/// The most chunks in a batch.
const MAX_CHUNKS: usize = 1024;

/// The least time between the starts of two batches while several callers append at a time. Each batch costs the broker a request
/// and its readers a fetch; a thousand callers a second with one record each would otherwise cause hundreds of them.
const BATCH_INTERVAL: Duration = Duration::from_millis(30);

/// Records of one caller that fit into one batch.
struct Chunk {
    records: Vec<OutgoingRecord>,
    answer: oneshot::Sender<AppendResult>,
}

/// The queues of all partitions.
pub(crate) struct PartitionQueues {
    producer: Arc<EventProducer>,
    queues: Mutex<HashMap<TopicPartition, mpsc::Sender<Chunk>>>,
}

impl PartitionQueues {
    /// Queues that feed this producer.
    pub(crate) fn new(producer: &Arc<EventProducer>) -> Self {
        Self { producer: Arc::clone(producer), queues: Mutex::default() }
    }

    /// Appends records in order. Returns when all in-sync replicas have acknowledged all of them, or when every failure is known.
    /// Records that still wait in a queue when the caller gives up are not written.
    pub(crate) async fn append(&self, records: Vec<(TopicPartition, OutgoingRecord)>) -> AppendResult {
        let count = records.len();
        let mut by_partition = BTreeMap::<TopicPartition, (Vec<usize>, Vec<OutgoingRecord>)>::new();
        for (index, (partition, record)) in records.into_iter().enumerate() {
            let (indices, records) = by_partition.entry(partition).or_default();
            indices.push(index);
            records.push(record);
        }
        let (indices, appends): (Vec<_>, Vec<_>) = by_partition
            .into_iter()
            .map(|(partition, (indices, records))| (indices, enqueue(self.queue(partition), records)))
            .unzip();
        let mut positions = vec![None; count];
        for (indices, appended) in indices.into_iter().zip(join_all(appends).await) {
            for (index, position) in indices.into_iter().zip(appended?) {
                positions[index] = Some(position);
            }
        }
        let all = positions.into_iter().collect::<Option<Vec<_>>>();
        all.ok_or_else(|| LogError::Unavailable("not every record was acknowledged".to_owned()))
    }

    /// The queue of a partition. Its task runs on the current runtime.
    fn queue(&self, partition: TopicPartition) -> mpsc::Sender<Chunk> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let start = || {
            let (send, chunks) = mpsc::channel(MAX_CHUNKS);
            tokio::spawn(produce(Arc::clone(&self.producer), partition, chunks));
            send
        };
        queues.entry(partition).or_insert_with(start).clone()
    }
}

/// Appends the records of one caller, chunk by chunk.
async fn enqueue(queue: mpsc::Sender<Chunk>, records: Vec<OutgoingRecord>) -> AppendResult {
    let closed = || LogError::Unavailable("the producer is closed".to_owned());
    let mut positions = Vec::with_capacity(records.len());
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let mut bytes = 0;
        let mut fits = |record: &OutgoingRecord| {
            let before = bytes;
            bytes += record.size();
            before == 0 || bytes <= MAX_CHUNK_BYTES
        };
        let chunk = std::iter::from_fn(|| records.next_if(&mut fits)).collect();
        let (answer, answered) = oneshot::channel();
        queue.send(Chunk { records: chunk, answer }).await.map_err(|_| closed())?;
        positions.extend(answered.await.map_err(|_| closed())??);
    }
    Ok(positions)
}

/// Produces the chunks of one partition in batches, until its queue closes.
async fn produce(producer: Arc<EventProducer>, partition: TopicPartition, mut chunks: mpsc::Receiver<Chunk>) {
    let mut batch = Vec::with_capacity(MAX_CHUNKS);
    while chunks.recv_many(&mut batch, MAX_CHUNKS).await > 0 {
        let started = Instant::now();
        let wanted = batch.drain(..).filter(|chunk| !chunk.answer.is_closed());
        let (records, answers): (Vec<_>, Vec<_>) =
            wanted.map(|Chunk { records, answer }| (records, answer)).unzip();
        if answers.is_empty() {
            continue;
        }
        let several = answers.len() > 1;
        // The batch is sent without a pause between its chunks, so that none lingers in the producer.
        for (answer, appended) in answers.into_iter().zip(producer.send(partition, records).await) {
            // A caller that has given up finds the records in the log.
            let _ = answer.send(appended);
        }
        if several {
            sleep_until(started + BATCH_INTERVAL).await;
        }
    }
}
