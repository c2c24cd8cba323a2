//! Where events are read from: Kafka, a running `kbnt serve` or `kbnt simulator`, or a directory.

mod log;
mod polled;
mod sse;

use std::path::PathBuf;

use kbnt_application::Topic;
use kbnt_infrastructure::embedded::EmbeddedLog;
use kbnt_infrastructure::kafka::KafkaLog;
use reqwest::Url;

use crate::cli::OriginOptions;
use crate::failure::Failure;
use crate::wiring;

/// A record as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    /// The record's value, a JSON object if it is an event.
    pub(crate) value: Vec<u8>,
}

/// What comes next.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    Record(Seen),
    /// All is read that was there at the start.
    CaughtUp,
}

/// Reads events, old ones first, and then as they come.
pub(crate) enum Origin {
    Log(log::LogOrigin),
    Events(sse::Events),
    Polled(polled::Polled),
}

/// From where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    Now,
}

impl Origin {
    /// Opens what the options name, for these topics.
    pub(crate) async fn open(
        options: &OriginOptions,
        data_dir: Option<&PathBuf>,
        topics: &[Topic],
        from: From,
    ) -> Result<Self, Failure> {
        if let Some(directory) = data_dir {
            let log = EmbeddedLog::open(directory)?;
            return Ok(Self::Log(log::LogOrigin::open(&log, topics, from).await?));
        }
        if let Some(kafka) = options.kafka() {
            let log = KafkaLog::new(wiring::kafka_config(&kafka)?)?;
            return Ok(Self::Log(log::LogOrigin::open(&log, topics, from).await?));
        }
        Self::at(&options.url, topics, from).await
    }

    async fn at(url: &Url, topics: &[Topic], from: From) -> Result<Self, Failure> {
        match sse::Events::open(url, topics, from).await? {
            Some(events) => Ok(Self::Events(events)),
            None => Ok(Self::Polled(polled::Polled::open(url, topics, from).await?)),
        }
    }

    /// The next record; waits until there is one.
    pub(crate) async fn next(&mut self) -> Result<Next, Failure> {
        match self {
            Self::Log(log) => log.next().await,
            Self::Events(events) => events.next().await,
            Self::Polled(polled) => polled.next().await,
        }
    }
}
