//! Where events are read from: Kafka, a running `kbnt serve` or `kbnt simulator`, or a directory.

mod frames;
mod log;
mod polled;
mod sse;

use std::path::{Path, PathBuf};

use kbnt_application::ports::{EventLog, Unreadable};
use kbnt_application::{Position, Topic};
use kbnt_domain::Timestamp;
use kbnt_domain::audit::Hash;
use kbnt_embedded::{EmbeddedLog, Proof};
use kbnt_kafka::KafkaLog;
use kbnt_wire::raw::RawLog;
use reqwest::Url;

use crate::cli::OriginOptions;
use crate::failure::Failure;
use crate::output;
use crate::wiring;
pub(crate) use log::ends;

/// A record as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    /// The record's value, a JSON object if it is an event.
    pub(crate) value: Vec<u8>,
    /// When the log was given it, which is the time of an event that names none. An origin that does not know it gives events that do.
    pub(crate) written: Timestamp,
    /// The hash of all of the record, if the origin has all of it.
    pub(crate) bytes: Option<Hash>,
    /// All of the record, if nobody understands it and the origin has all of it.
    pub(crate) unreadable: Option<Unreadable>,
}

impl Seen {
    /// A record of this value, and of whatever else.
    pub(crate) const fn new(at: Position, value: Vec<u8>) -> Self {
        Self {
            topic: at.topic,
            partition: at.partition,
            offset: at.offset,
            value,
            written: Timestamp::from_millis(0),
            bytes: None,
            unreadable: None,
        }
    }

    /// Where it lies.
    pub(crate) const fn at(&self) -> Position {
        Position { topic: self.topic, partition: self.partition, offset: self.offset }
    }
}

/// What comes next.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    Record(Seen),
    /// All is read that was there at the start.
    CaughtUp,
    /// The log is another one than before, or has another history: what came before means nothing in it, and its first record is
    /// next.
    Anew,
}

/// Reads events, old ones first, and then as they come.
pub(crate) enum Origin {
    Log(log::LogOrigin),
    Events(Box<sse::Events>),
    Polled(polled::Polled),
}

/// From where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    Now,
}

/// A log of events and of bytes.
pub(crate) trait Log: EventLog + RawLog {}

impl<T: EventLog + RawLog> Log for T {}

/// What a log is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing is created or changed.
    Read,
    /// Records are added to a log that is there.
    Write,
}

/// The log that the options name; `None` if they name a running program.
pub(crate) fn open_log(
    options: &OriginOptions,
    data_dir: Option<&PathBuf>,
    access: Access,
) -> Result<Option<Box<dyn Log>>, Failure> {
    if let Some(directory) = data_dir {
        return Ok(Some(Box::new(open_directory(directory, access)?)));
    }
    let Some(kafka) = options.kafka() else { return Ok(None) };
    Ok(Some(Box::new(KafkaLog::new(wiring::kafka_config(&kafka)?)?)))
}

/// The log in a directory; what is wrong with its end or with the proof of it is told.
pub(crate) fn open_directory(directory: &Path, access: Access) -> Result<EmbeddedLog, Failure> {
    if access == Access::Write {
        let log = EmbeddedLog::open_existing(directory)?;
        if let Some(torn) = &log.recovery().torn {
            output::complain(format_args!("{torn}; they were cut off"));
        }
        return Ok(log);
    }
    let log = EmbeddedLog::open_to_read(directory)?;
    let found = log.recovery();
    if let Some(torn) = &found.torn {
        let running =
            if EmbeddedLog::is_in_use(directory) { "; a running process may be writing it" } else { "" };
        output::complain(format_args!("{torn}{running}; they are passed over"));
    }
    if let Proof::Refused(why) = &found.proof {
        output::complain(format_args!(
            "{}: {why}; whether records are missing at the end is not known",
            directory.join("offsets.json").display()
        ));
    }
    for short in &found.short {
        output::complain(format_args!("{}: {short}", directory.display()));
    }
    Ok(log)
}

/// What was read belongs to a log that is not there any more.
pub(crate) fn replaced() -> Failure {
    Failure::Options("the log was replaced by another one while it was read: begin anew".to_owned())
}

impl Origin {
    /// Opens what the options name, for these topics.
    pub(crate) async fn open(
        options: &OriginOptions,
        data_dir: Option<&PathBuf>,
        topics: &[Topic],
        from: From,
    ) -> Result<Self, Failure> {
        match open_log(options, data_dir, Access::Read)? {
            Some(log) => Self::of_log(&*log, topics, from).await,
            None => Self::at(&options.url, topics, from).await,
        }
    }

    /// Reads a log.
    pub(crate) async fn of_log(log: &dyn EventLog, topics: &[Topic], from: From) -> Result<Self, Failure> {
        Ok(Self::Log(log::LogOrigin::open(log, topics, from).await?))
    }

    async fn at(url: &Url, topics: &[Topic], from: From) -> Result<Self, Failure> {
        match sse::Events::open(url, topics, from).await? {
            Some(events) => Ok(Self::Events(Box::new(events))),
            None => Ok(Self::Polled(polled::Polled::open(url, topics, from).await?)),
        }
    }

    /// The next record of those that were there at the start; `None` after the last.
    pub(crate) async fn next_of_those(&mut self) -> Result<Option<Seen>, Failure> {
        match self.next().await? {
            Next::Record(seen) => Ok(Some(seen)),
            Next::CaughtUp => Ok(None),
            Next::Anew => Err(replaced()),
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
