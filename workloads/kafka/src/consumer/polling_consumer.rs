//! A thread that polls a consumer, decodes, and hands records over in bounded portions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kbnt_application::Position;
use kbnt_application::ports::{Fetched, LogError, RawRecord};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use super::catch_up_pacing::Abreast;
use super::decode as record;
use super::record_cache::Reading;
use crate::client::Place;
use crate::client::config::KafkaConfig;
use crate::client::connection_health::Life;
use crate::client::metadata::{self as client, Ask as _};
use crate::client::thread::Stop;
use crate::client::thread::spawn;
use crate::client::{error, number};

/// How long a poll waits; also how long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(100);

/// Records in one portion.
const PORTION: usize = 500;

/// A portion takes in no more once it has so many bytes of records that are kept whole, which may be large.
const BYTES_MOST: usize = 2 << 20;

/// Portions that may wait to be taken.
pub(crate) const PORTIONS: usize = 4;

/// The polling end.
pub(crate) struct Pump<C: ConsumerContext + 'static, T> {
    pub(crate) consumer: BaseConsumer<C>,
    make: Make<C>,
    pub(crate) config: Arc<KafkaConfig>,
    pub(crate) life: Arc<Life>,
    pub(crate) portions: mpsc::Sender<T>,
    pub(crate) stop: Stop,
    topic: String,
    reading: Reading,
    abreast: Abreast,
    /// From which the broker is asked for nothing now.
    paused: BTreeSet<Place>,
}

type Make<C> = Box<dyn Fn() -> Result<BaseConsumer<C>, LogError> + Send>;

impl<C: ConsumerContext + 'static, T> Pump<C, T> {
    pub(crate) fn new(
        make: impl Fn() -> Result<BaseConsumer<C>, LogError> + Send + 'static,
        config: &Arc<KafkaConfig>,
        life: &Arc<Life>,
        reading: Reading,
        portions: mpsc::Sender<T>,
    ) -> Result<Self, LogError> {
        Ok(Self {
            consumer: make()?,
            make: Box::new(make),
            config: Arc::clone(config),
            life: Arc::clone(life),
            portions,
            stop: Stop::default(),
            topic: config.topic_name(kbnt_application::Topic::InventoryEvents),
            reading,
            abreast: Abreast::default(),
            paused: BTreeSet::new(),
        })
    }

    /// Puts another consumer in the place of this one, and ends it; whether that could be done.
    pub(crate) fn renew(&mut self, end: impl FnOnce(BaseConsumer<C>) + Send + 'static) -> bool {
        let renewed = (self.make)().and_then(|another| {
            let old = std::mem::replace(&mut self.consumer, another);
            self.life.begin_anew();
            self.abreast.clear();
            self.paused.clear();
            // To end it can take a while.
            spawn("kafka-farewell", move || end(old))
        });
        if let Err(error) = &renewed {
            tracing::warn!(client = self.life.name(), %error, "there is no other Kafka client");
        }
        renewed.is_ok()
    }

    /// The records that are there, or the first within a moment.
    pub(crate) fn poll(&mut self) -> Result<Vec<Fetched>, LogError> {
        let mut records = Vec::new();
        let mut wait = POLL;
        let mut bytes = 0;
        while records.len() < PORTION && bytes < BYTES_MOST {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    records.extend(record::fetched(&self.config, &self.reading, &message));
                    bytes += records.last().and_then(Fetched::raw).map_or(0, RawRecord::size);
                }
                Some(Err(error)) => self.note(&error)?,
                None => break,
            }
            wait = Duration::ZERO;
        }
        if !records.is_empty() {
            self.life.heard();
        }
        let now = Instant::now();
        for fetched in &records {
            self.abreast.read(fetched.at(), now);
        }
        self.ask_if_quiet();
        Ok(records)
    }

    /// A partition is read from `from` on, and ends at `end` now.
    pub(crate) fn begun(&mut self, from: Position, end: u64) {
        self.abreast.begin(from, end, Instant::now());
    }

    /// These are about to be read no more.
    pub(crate) fn ending(&mut self, places: &[Place]) {
        for place in places {
            self.abreast.end(*place);
        }
        let kept = self.paused.iter().copied().filter(|place| !places.contains(place)).collect();
        self.pause_only(kept);
    }

    /// Reads none of `held`, and of the others those that need not let others catch up.
    pub(crate) fn steer(&mut self, held: impl IntoIterator<Item = Place>) {
        let mut wanted = self.abreast.waiting(Instant::now());
        wanted.extend(held);
        self.pause_only(wanted);
    }

    /// Reads all but these.
    fn pause_only(&mut self, wanted: BTreeSet<Place>) {
        if wanted == self.paused {
            return;
        }
        let pause = self.list(wanted.difference(&self.paused));
        let resume = self.list(self.paused.difference(&wanted));
        let paused = if pause.count() > 0 { self.consumer.pause(&pause) } else { Ok(()) };
        let resumed = if resume.count() > 0 { self.consumer.resume(&resume) } else { Ok(()) };
        if let Err(error) = paused.and(resumed) {
            tracing::debug!(client = self.life.name(), %error, "choosing what to read");
        }
        self.paused = wanted;
    }

    /// As librdkafka wants it.
    pub(crate) fn list<'a>(&self, places: impl IntoIterator<Item = &'a Place>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in places {
            list.add_partition(&self.config.topic_name(*topic), number(*partition));
        }
        list
    }

    /// An error that passes by itself is only noted: the client goes on trying.
    fn note(&self, error: &KafkaError) -> Result<(), LogError> {
        client::note(&self.life, error, "reading");
        match error::of_client(error) {
            refused @ (LogError::Refused(_) | LogError::TooLarge(_)) => Err(refused),
            _ => Ok(()),
        }
    }

    /// Asks a cluster that said nothing for a while whether it is there.
    pub(crate) fn ask_if_quiet(&self) {
        if self.life.should_ask() {
            self.life.note_answer(self.consumer.is_answered(&self.topic));
        }
    }

    /// Hands `portion` over as soon as there is room; whether anybody still wants it.
    pub(crate) fn hand_over(&self, mut portion: T) -> bool {
        loop {
            match self.portions.try_send(portion) {
                Ok(()) => return true,
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
                Err(mpsc::error::TrySendError::Full(back)) => portion = back,
            }
            if self.stop.is_told() {
                return false;
            }
            self.ask_if_quiet();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
