//! The topics, by a Kafka client that has nothing in common with the one of the services.

use std::collections::BTreeMap;

use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};

use crate::check::{Checker, Event, Place};
use crate::failure::Failure;

/// The documented topics and their partitions.
pub(crate) const TOPICS: [(&str, i32); 7] = [
    ("user-events", 3),
    ("order-events", 3),
    ("payment-events", 3),
    ("inventory-events", 3),
    ("notification-events", 3),
    ("audit-logs", 1),
    ("application-logs", 2),
];

/// Marks records that are no events on purpose.
pub(crate) const POISON: &str = "kbnt_chaos";

/// Bytes that a fetch may return.
const FETCH: std::ops::Range<i32> = 1..4_000_000;

/// Where partitions end.
pub(crate) type Ends = BTreeMap<(&'static str, i32), i64>;

/// All topics.
#[derive(Debug)]
pub(crate) struct Topics {
    client: Client,
}

impl Topics {
    /// Those of this broker.
    pub(crate) async fn of(bootstrap: &str) -> Result<Self, Failure> {
        Ok(Self { client: ClientBuilder::new(vec![bootstrap.to_owned()]).build().await? })
    }

    /// Makes all seven.
    pub(crate) async fn create(&self) -> Result<(), Failure> {
        let controller = self.client.controller_client()?;
        for (name, partitions) in TOPICS {
            controller.create_topic(name, partitions, 1, 30_000).await?;
        }
        Ok(())
    }

    /// A partition.
    pub(crate) async fn partition(&self, topic: &str, partition: i32) -> Result<PartitionClient, Failure> {
        Ok(self.client.partition_client(topic, partition, UnknownTopicHandling::Retry).await?)
    }

    /// Writes a record as it is.
    pub(crate) async fn write(
        &self,
        topic: &str,
        partition: i32,
        records: Vec<Record>,
    ) -> Result<(), Failure> {
        self.partition(topic, partition).await?.produce(records, Compression::NoCompression).await?;
        Ok(())
    }

    /// Some records that follow each other, from anywhere in a partition.
    pub(crate) async fn some(
        &self,
        topic: &str,
        partition: i32,
        most: usize,
    ) -> Result<Vec<Record>, Failure> {
        let partition = self.partition(topic, partition).await?;
        let end = partition.get_offset(OffsetAt::Latest).await?;
        if end == 0 {
            return Ok(Vec::new());
        }
        let (records, _) = partition.fetch_records(fastrand::i64(0..end), 1..200_000, 1_000).await?;
        Ok(records.into_iter().take(most).map(|RecordAndOffset { record, .. }| record).collect())
    }

    /// Where each partition of the documented topics ends, log lines aside.
    pub(crate) async fn ends(&self) -> Result<Ends, Failure> {
        let mut ends = BTreeMap::new();
        for (topic, partitions) in TOPICS.into_iter().filter(|(topic, _)| *topic != "application-logs") {
            for partition in 0..partitions {
                let client = self.partition(topic, partition).await?;
                ends.insert((topic, partition), client.get_offset(OffsetAt::Latest).await?);
            }
        }
        Ok(ends)
    }

    /// Deletes the records of every partition of a topic but the last one before these ends.
    pub(crate) async fn cut(&self, topic: &str, ends: &Ends) -> Result<(), Failure> {
        for ((_, partition), end) in ends.iter().filter(|((of, _), _)| *of == topic) {
            if *end > 1 {
                self.partition(topic, *partition).await?.delete_records(end - 1, 10_000).await?;
            }
        }
        Ok(())
    }

    /// Gives everything up to `ends` to the checker.
    pub(crate) async fn read(&self, ends: &Ends, checker: &mut Checker) -> Result<(), Failure> {
        for (&(topic, partition), &end) in ends {
            let client = self.partition(topic, partition).await?;
            let mut next = 0;
            while next < end {
                let (records, _) = client.fetch_records(next, FETCH, 1_000).await?;
                for RecordAndOffset { record, offset } in records {
                    // A fetch may begin in the midst of a batch.
                    if offset < next {
                        continue;
                    }
                    next = offset + 1;
                    give(checker, &Place { topic: topic.to_owned(), partition, offset }, &record);
                }
            }
        }
        Ok(())
    }
}

/// Gives a record to the checker; the event that it is.
pub(crate) fn give(checker: &mut Checker, place: &Place, record: &Record) -> Option<Event> {
    if record.headers.contains_key(POISON) {
        checker.poisoned(place);
        return None;
    }
    let event = serde_json::from_slice::<Event>(record.value.as_deref().unwrap_or_default()).ok();
    match &event {
        Some(event) => checker.take(place, event),
        None => checker.pass(place),
    }
    event
}
