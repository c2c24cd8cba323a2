//! A thread that polls a consumer, decodes, and hands records over in bounded portions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kbnt_application::ports::{Fetched, LogError};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc;

use super::client::{self, Health};
use super::config::KafkaConfig;
use super::{ASK, error, record};

/// How long a poll waits; also how long a stop may go unnoticed.
const POLL: Duration = Duration::from_millis(100);

/// Records in one portion.
const PORTION: usize = 500;

/// Portions that may wait to be taken.
pub(super) const PORTIONS: usize = 4;

/// How often a cluster that does not answer is asked.
const ASK_AGAIN: Duration = Duration::from_secs(1);

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
    pub(super) config: Arc<KafkaConfig>,
    pub(super) health: Arc<Health>,
    pub(super) portions: mpsc::Sender<T>,
    pub(super) stop: Stop,
    asked: Instant,
}

impl<C: ConsumerContext + 'static, T> Pump<C, T> {
    pub(super) fn new(
        consumer: BaseConsumer<C>,
        config: &Arc<KafkaConfig>,
        health: &Arc<Health>,
        portions: mpsc::Sender<T>,
    ) -> Self {
        let (config, health) = (Arc::clone(config), Arc::clone(health));
        Self { consumer, config, health, portions, stop: Stop::default(), asked: Instant::now() }
    }

    /// The records that are there, or the first within a moment.
    pub(super) fn poll(&mut self) -> Result<Vec<Fetched>, LogError> {
        let mut records = Vec::new();
        let mut wait = POLL;
        while records.len() < PORTION {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => records.extend(record::fetched(&self.config, &message)),
                Some(Err(error)) => self.note(&error)?,
                None => break,
            }
            wait = Duration::ZERO;
        }
        if !records.is_empty() {
            self.health.set_down(false);
        }
        self.ask_if_down();
        Ok(records)
    }

    /// An error that passes by itself is only noted: the client goes on trying.
    fn note(&self, error: &KafkaError) -> Result<(), LogError> {
        client::note(&self.health, error, "reading");
        match error::of_client(error) {
            refused @ LogError::Refused(_) => Err(refused),
            _ => Ok(()),
        }
    }

    /// Asks a cluster that did not answer whether it does now.
    fn ask_if_down(&mut self) {
        if self.health.is_down() && self.asked.elapsed() >= ASK_AGAIN {
            self.asked = Instant::now();
            let topic = self.config.topic_name(kbnt_application::Topic::InventoryEvents);
            if self.consumer.fetch_metadata(Some(&topic), ASK).is_ok() {
                self.health.set_down(false);
            }
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
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
