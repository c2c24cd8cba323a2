//! The end of the log, which is read as it is written: so every record is read before it is cut.

use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use rskafka::record::RecordAndOffset;

use super::times::Times;
use crate::check::{Checker, Place};
use crate::failure::Failure;
use crate::topics::{Ends, TOPICS, Topics, give};

/// Bytes that a fetch may return. It does not wait for any, as all fetches share a connection.
const FETCH: std::ops::Range<i32> = 0..4_000_000;

/// All partitions but those of log lines.
#[derive(Debug)]
pub(super) struct Tail {
    partitions: Vec<Partition>,
}

#[derive(Debug)]
struct Partition {
    topic: &'static str,
    number: i32,
    client: PartitionClient,
    next: i64,
}

impl Tail {
    /// From the first record on.
    pub(super) async fn of(topics: &Topics) -> Result<Self, Failure> {
        let mut partitions = Vec::new();
        for (topic, count) in TOPICS.into_iter().filter(|(topic, _)| *topic != "application-logs") {
            for number in 0..count {
                let client = topics.partition(topic, number).await?;
                partitions.push(Partition { topic, number, client, next: 0 });
            }
        }
        Ok(Self { partitions })
    }

    /// Reads on in each partition; how many records there were.
    pub(super) async fn read(&mut self, checker: &mut Checker, times: &mut Times) -> Result<usize, Failure> {
        let mut count = 0;
        for partition in &mut self.partitions {
            count += partition.read(checker, times).await?;
        }
        Ok(count)
    }

    /// Whether all is read up to there.
    pub(super) fn has_reached(&self, ends: &Ends) -> bool {
        let is_read = |of: &Partition| ends.get(&(of.topic, of.number)).is_none_or(|end| of.next >= *end);
        self.partitions.iter().all(is_read)
    }
}

impl Partition {
    async fn read(&mut self, checker: &mut Checker, times: &mut Times) -> Result<usize, Failure> {
        let records = match self.client.fetch_records(self.next, FETCH, 0).await {
            Ok((records, _)) => records,
            Err(Error::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. }) => {
                return self.skip(checker).await;
            }
            Err(error) => return Err(error.into()),
        };
        let mut count = 0;
        for RecordAndOffset { record, offset } in records {
            // A fetch may begin in the midst of a batch.
            if offset < self.next {
                continue;
            }
            (self.next, count) = (offset + 1, count + 1);
            if let Some(event) = give(checker, &self.place(offset), &record)
                && self.topic == "order-events"
                && ["OrderCreatedEvent", "OrderCancelledEvent"].contains(&event.name.as_str())
                && let Some(order) = event.payload.order_id
            {
                times.ended(order, record.timestamp.timestamp_millis());
            }
        }
        Ok(count)
    }

    /// What was to be read next is not there any more.
    async fn skip(&mut self, checker: &mut Checker) -> Result<usize, Failure> {
        let first = self.client.get_offset(OffsetAt::Earliest).await?;
        if first <= self.next {
            let (topic, number, next) = (self.topic, self.number, self.next);
            return Err(Failure::Script(format!(
                "{topic}/{number} ends before @{next}, up to which it was read"
            )));
        }
        checker.begins(&self.place(first));
        self.next = first;
        Ok(0)
    }

    fn place(&self, offset: i64) -> Place {
        Place { topic: self.topic.to_owned(), partition: self.number, offset }
    }
}
