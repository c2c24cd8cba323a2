//! Reads given partitions, also of topics that do not exist yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use kbnt_application::Position;
use kbnt_application::intact::Bounds;
use kbnt_application::ports::{Fetched, LogError, LogReader};
use kbnt_domain::Span;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;

use super::polling_consumer::{PORTIONS, Pump};
use super::record_cache::Reading;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::Life;
use crate::client::metadata::{self as client, Ask as _, Context};
use crate::client::supervisor::Watch;
use crate::client::thread::Stop;
use crate::client::thread::spawn;
use crate::client::{error, number};

/// How often topics that are missing are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// What the thread hands over.
enum Portion {
    Records(Vec<Fetched>),
    /// These are read from here on: no earlier record is kept any more.
    Begun(Vec<Position>),
    Failed(LogError),
}

/// Positions in the log that move forward.
pub(crate) struct Reader {
    life: Arc<Life>,
    portions: mpsc::Receiver<Portion>,
    stop: Stop,
    next: Vec<Position>,
    /// Fetched and not yet returned.
    buffer: VecDeque<Fetched>,
}

impl Reader {
    pub(crate) fn open(
        config: &Arc<KafkaConfig>,
        watch: &Arc<Watch>,
        from: Vec<Position>,
        reading: Reading,
    ) -> Result<Self, LogError> {
        let (settings, watching, life) = (config.reader(), Arc::clone(watch), watch.life("reader"));
        let living = Arc::clone(&life);
        let make =
            move || client::create(&watching.with_credentials(settings.clone()), Context::new(&living));
        let (send, portions) = mpsc::channel(PORTIONS);
        let pump = Pump::new(make, config, &life, reading, send)?;
        let stop = pump.stop.clone();
        let next = from.clone();
        spawn("kafka-reader", move || run(pump, next))?;
        Ok(Self { life, portions, stop, next: from, buffer: VecDeque::new() })
    }

    fn take(&mut self, most: usize) -> Vec<Fetched> {
        let records: Vec<Fetched> = self.buffer.drain(..most.min(self.buffer.len())).collect();
        for record in &records {
            let at = record.at();
            moved(&mut self.next, Position { offset: at.offset + 1, ..at });
        }
        records
    }

    /// Takes in what the thread handed over.
    fn take_in(&mut self, portion: Portion) -> Result<(), LogError> {
        match portion {
            Portion::Records(records) => self.buffer.extend(records),
            Portion::Begun(positions) => positions.into_iter().for_each(|at| moved(&mut self.next, at)),
            Portion::Failed(error) => return Err(error),
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// Moves the position in a partition forward, to `at`.
fn moved(next: &mut [Position], at: Position) {
    let here = |next: &&mut Position| next.topic == at.topic && next.partition == at.partition;
    if let Some(next) = next.iter_mut().find(here) {
        next.offset = next.offset.max(at.offset);
    }
}

/// Polls until it is told to stop or nobody listens.
fn run(mut pump: Pump<Context, Portion>, mut next: Vec<Position>) {
    let mut missing = next.clone();
    let mut looked: Option<Instant> = None;
    while !pump.stop.is_told() {
        if pump.life.is_condemned() && pump.renew(drop) {
            // It goes on behind what was handed over.
            (missing, looked) = (next.clone(), None);
        }
        if !missing.is_empty() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
            looked = Some(Instant::now());
            let wanted = match begin(&mut pump, &mut missing) {
                Ok(begun) => {
                    for at in &begun {
                        moved(&mut next, *at);
                    }
                    begun.is_empty() || pump.hand_over(Portion::Begun(begun))
                }
                Err(error) => pump.hand_over(Portion::Failed(error)),
            };
            if !wanted {
                return;
            }
        }
        pump.steer([]);
        let portion = match pump.poll() {
            Ok(records) if records.is_empty() => continue,
            Ok(records) => {
                for at in records.iter().map(Fetched::at) {
                    moved(&mut next, Position { offset: at.offset + 1, ..at });
                }
                Portion::Records(records)
            }
            Err(error) => Portion::Failed(error),
        };
        if !pump.hand_over(portion) {
            return;
        }
    }
}

/// Begins to read those of `missing` that exist by now; from where.
fn begin(pump: &mut Pump<Context, Portion>, missing: &mut Vec<Position>) -> Result<Vec<Position>, LogError> {
    let mut begun = Vec::new();
    for at in missing.iter().filter(|at| exists(pump, at)) {
        let (name, consumer) = (pump.config.topic_name(at.topic), &pump.consumer);
        let Bounds { first, end } = client::kept_or_condemned(consumer, &pump.life, &name, at.partition)?;
        begun.push((Position { offset: at.offset.max(first), ..*at }, end));
    }
    let mut found = TopicPartitionList::with_capacity(begun.len());
    for (at, _) in &begun {
        let offset = Offset::Offset(i64::try_from(at.offset).unwrap_or(i64::MAX));
        // The name is valid and the offset in range, so this cannot fail.
        let _ = found.add_partition_offset(&pump.config.topic_name(at.topic), number(at.partition), offset);
    }
    if !begun.is_empty() {
        pump.consumer.incremental_assign(&found).map_err(|error| error::of_client(&error))?;
    }
    for (from, end) in &begun {
        pump.begun(*from, *end);
    }
    let begun: Vec<Position> = begun.into_iter().map(|(from, _)| from).collect();
    missing
        .retain(|at| !begun.iter().any(|begun| (begun.topic, begun.partition) == (at.topic, at.partition)));
    Ok(begun)
}

/// Whether there is such a partition; one that cannot be asked for now is looked for again.
fn exists(pump: &Pump<Context, Portion>, at: &Position) -> bool {
    pump.consumer.has(&pump.config.topic_name(at.topic), at.partition)
}

#[async_trait]
impl LogReader for Reader {
    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError> {
        if self.buffer.is_empty() {
            let wait = Duration::from_millis(wait.as_millis());
            match tokio::time::timeout(wait, self.portions.recv()).await {
                Ok(Some(portion)) => self.take_in(portion)?,
                Ok(None) => return Err(LogError::Refused("the reader has ended".to_owned())),
                Err(_) => self.life.check()?,
            }
        }
        while self.buffer.len() < most {
            let Ok(portion) = self.portions.try_recv() else { break };
            self.take_in(portion)?;
        }
        Ok(self.take(most))
    }

    fn positions(&self) -> Vec<Position> {
        self.next.clone()
    }
}
