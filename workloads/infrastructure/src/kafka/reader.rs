//! Reads given partitions, also of topics that do not exist yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kbnt_application::Position;
use kbnt_application::ports::{Fetched, LogError, LogReader};
use kbnt_domain::Span;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::client::{self, Context, Health};
use super::config::KafkaConfig;
use super::pump::{PORTIONS, Pump, Stop};
use super::{ASK, error};

/// How often topics that are missing are looked for.
const LOOK: Duration = Duration::from_secs(1);

type Portion = Result<Vec<Fetched>, LogError>;

/// Positions in the log that move forward.
pub(super) struct Reader {
    health: Arc<Health>,
    portions: mpsc::Receiver<Portion>,
    stop: Stop,
    next: Vec<Position>,
    /// Fetched and not yet returned.
    buffer: VecDeque<Fetched>,
}

impl Reader {
    pub(super) fn open(
        config: &Arc<KafkaConfig>,
        health: &Arc<Health>,
        from: Vec<Position>,
    ) -> Result<Self, LogError> {
        let consumer = client::create(&config.reader(), Context::new(health))?;
        let (send, portions) = mpsc::channel(PORTIONS);
        let pump = Pump::new(consumer, config, health, send);
        let stop = pump.stop.clone();
        let missing = from.clone();
        spawn("kafka-reader", move || run(pump, missing))?;
        Ok(Self { health: Arc::clone(health), portions, stop, next: from, buffer: VecDeque::new() })
    }

    fn take(&mut self, most: usize) -> Vec<Fetched> {
        let records: Vec<Fetched> = self.buffer.drain(..most.min(self.buffer.len())).collect();
        for record in &records {
            let at = position(record);
            let here = |next: &&mut Position| next.topic == at.topic && next.partition == at.partition;
            if let Some(next) = self.next.iter_mut().find(here) {
                next.offset = at.offset + 1;
            }
        }
        records
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// Where a record lies.
fn position(record: &Fetched) -> Position {
    match record {
        Fetched::Record(record) => record.at,
        Fetched::Unreadable(record) => record.at,
    }
}

/// A thread of this name.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), LogError> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(drop).map_err(|error| LogError::Unavailable(format!("no thread for {name}: {error}")))
}

/// Polls until it is told to stop or nobody listens.
fn run(mut pump: Pump<Context, Portion>, mut missing: Vec<Position>) {
    let mut looked: Option<Instant> = None;
    while !pump.stop.is_told() {
        if !missing.is_empty() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            let begun = begin(&pump, &mut missing);
            if begun.is_err() && !pump.hand_over(begun.map(|()| Vec::new())) {
                return;
            }
        }
        let portion = pump.poll();
        let empty = portion.as_ref().is_ok_and(Vec::is_empty);
        if !empty && !pump.hand_over(portion) {
            return;
        }
    }
}

/// Begins to read those of `missing` that exist by now.
fn begin(pump: &Pump<Context, Portion>, missing: &mut Vec<Position>) -> Result<(), LogError> {
    let mut found = TopicPartitionList::new();
    let mut topics: Vec<_> = missing.iter().map(|at| at.topic).collect();
    topics.dedup();
    for topic in topics {
        let name = pump.config.topic_name(topic);
        let metadata =
            pump.consumer.fetch_metadata(Some(&name), ASK).map_err(|error| error::of_client(&error))?;
        let partitions = metadata.topics().iter().find(|described| described.name() == name);
        let has = |number: u32| {
            let mut ids = partitions.iter().flat_map(|topic| topic.partitions());
            ids.any(|partition| u32::try_from(partition.id()) == Ok(number))
        };
        missing.retain(|at| {
            let begins = at.topic == topic && has(at.partition);
            if begins {
                let number = i32::try_from(at.partition).unwrap_or(i32::MAX);
                let offset = Offset::Offset(i64::try_from(at.offset).unwrap_or(i64::MAX));
                // The name is valid and the offset in range, so this cannot fail.
                let _ = found.add_partition_offset(&name, number, offset);
            }
            !begins
        });
    }
    if found.count() > 0 {
        pump.consumer.incremental_assign(&found).map_err(|error| error::of_client(&error))?;
    }
    Ok(())
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError> {
        if self.buffer.is_empty() {
            let wait = Duration::from_millis(wait.as_millis());
            match tokio::time::timeout(wait, self.portions.recv()).await {
                Ok(Some(portion)) => self.buffer.extend(portion?),
                Ok(None) => return Err(LogError::Refused("the reader has ended".to_owned())),
                Err(_) => self.health.check()?,
            }
        }
        while self.buffer.len() < most {
            let Ok(Ok(portion)) = self.portions.try_recv() else { break };
            self.buffer.extend(portion);
        }
        Ok(self.take(most))
    }

    fn positions(&self) -> Vec<Position> {
        self.next.clone()
    }
}
