//! A thread that polls a consumer, decodes, and hands records over in bounded portions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kbnt_application::ports::{Fetched, LogError};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use super::client::{self, Ask as _};
use super::config::KafkaConfig;
use super::life::Life;
use super::{error, record, spawn};

/// How long a poll waits; also how long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(100);

/// Records in one portion.
const PORTION: usize = 500;

/// A portion takes in no more once it has so many bytes of records that nobody understands, which may be large.
const UNREADABLE_MOST: usize = 2 << 20;

/// Portions that may wait to be taken.
pub(super) const PORTIONS: usize = 4;

/// Tells a pump to stop, when dropped too.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_told(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The polling end.
pub(super) struct Pump<C: ConsumerContext + 'static, T> {
    pub(super) consumer: BaseConsumer<C>,
    make: Make<C>,
    pub(super) config: Arc<KafkaConfig>,
    pub(super) life: Arc<Life>,
    pub(super) portions: mpsc::Sender<T>,
    pub(super) stop: Stop,
    topic: String,
}

type Make<C> = Box<dyn Fn() -> Result<BaseConsumer<C>, LogError> + Send>;

impl<C: ConsumerContext + 'static, T> Pump<C, T> {
    pub(super) fn new(
        make: impl Fn() -> Result<BaseConsumer<C>, LogError> + Send + 'static,
        config: &Arc<KafkaConfig>,
        life: &Arc<Life>,
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
        })
    }

    /// Puts another consumer in the place of this one, and ends it; whether that could be done.
    pub(super) fn renew(&mut self, end: impl FnOnce(BaseConsumer<C>) + Send + 'static) -> bool {
        let renewed = (self.make)().and_then(|another| {
            let old = std::mem::replace(&mut self.consumer, another);
            self.life.begin_anew();
            // To end it can take a while.
            spawn("kafka-farewell", move || end(old))
        });
        if let Err(error) = &renewed {
            tracing::warn!(client = self.life.name(), %error, "there is no other Kafka client");
        }
        renewed.is_ok()
    }

    /// The records that are there, or the first within a moment.
    pub(super) fn poll(&mut self) -> Result<Vec<Fetched>, LogError> {
        let mut records = Vec::new();
        let mut wait = POLL;
        let mut unreadable = 0;
        while records.len() < PORTION && unreadable < UNREADABLE_MOST {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    records.extend(record::fetched(&self.config, &message));
                    if let Some(Fetched::Unreadable(record)) = records.last() {
                        unreadable += record.raw.size();
                    }
                }
                Some(Err(error)) => self.note(&error)?,
                None => break,
            }
            wait = Duration::ZERO;
        }
        if !records.is_empty() {
            self.life.heard();
        }
        self.ask_if_quiet();
        Ok(records)
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
    pub(super) fn ask_if_quiet(&self) {
        if self.life.should_ask() {
            self.life.note_answer(self.consumer.is_answered(&self.topic));
        }
    }

    /// Hands `portion` over as soon as there is room; whether anybody still wants it.
    pub(super) fn hand_over(&self, mut portion: T) -> bool {
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
