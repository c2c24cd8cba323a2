//! The origin of events: Kafka, a running `kbnt serve` or `kbnt simulator`, or a directory.

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

use crate::cli::{OriginOptions, TrailOptions};
use crate::failure::Failure;
use crate::output;
use crate::wiring;
pub(crate) use log::ends;

/// A record that was read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) topic: Topic,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
    /// The record's value, a JSON object if it is an event.
    pub(crate) value: Vec<u8>,
    /// When the log received it, which is the time of an event without one. An origin that does not know this
    /// has only events with a time.
    pub(crate) written: Timestamp,
    /// The hash of the complete record, if the origin has it.
    pub(crate) bytes: Option<Hash>,
    /// The complete record, if it is unreadable and the origin has it.
    pub(crate) unreadable: Option<Unreadable>,
}

impl Seen {
    /// A record with this value.
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

    /// Its position.
    pub(crate) const fn at(&self) -> Position {
        Position { topic: self.topic, partition: self.partition, offset: self.offset }
    }
}

/// The next item.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    Record(Seen),
    /// Everything that existed at the start has been read.
    CaughtUp,
    /// The log is another one than before, or its history is: earlier positions are meaningless, and its
    /// first record is next.
    Anew,
}

/// Reads events, old ones first, and then as they come.
pub(crate) enum Origin {
    Log(log::LogOrigin),
    Events(Box<sse::Events>),
    Polled(polled::Polled),
}

/// Where to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Start,
    Now,
}

/// A log of events and of bytes.
pub(crate) trait Log: EventLog + RawLog {}

impl<T: EventLog + RawLog> Log for T {}

/// The access to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Creates and changes nothing.
    Read,
    /// Adds records to an existing log.
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

/// The log that the options name, to be read.
pub(crate) fn open_named(options: &TrailOptions) -> Result<Box<dyn Log>, Failure> {
    open_log(&options.origin, options.data_dir.as_ref(), Access::Read)?.ok_or_else(unnamed)
}

/// A running program does not show where its log begins and ends.
pub(crate) fn unnamed() -> Failure {
    Failure::Options(
        "a running program is not a log: name its log by --data-dir or --bootstrap-servers".to_owned(),
    )
}

/// The log in a directory. Reports what is wrong with its end or with the proof of its end.
pub(crate) fn open_directory(directory: &Path, access: Access) -> Result<EmbeddedLog, Failure> {
    if access == Access::Write {
        let log = EmbeddedLog::open_existing(directory)?;
        if let Some(torn) = &log.recovery().torn {
            output::print_error(format_args!("{torn}; they were cut off"));
        }
        return Ok(log);
    }
    let log = EmbeddedLog::open_to_read(directory)?;
    let found = log.recovery();
    if let Some(torn) = &found.torn {
        let running =
            if EmbeddedLog::is_in_use(directory) { "; a running process may be writing it" } else { "" };
        output::print_error(format_args!("{torn}{running}; they are passed over"));
    }
    if let Proof::Refused(why) = &found.proof {
        output::print_error(format_args!(
            "{}: {why}; whether records are missing at the end is not known",
            directory.join("offsets.json").display()
        ));
    }
    for short in &found.short {
        output::print_error(format_args!("{}: {short}", directory.display()));
    }
    Ok(log)
}

/// The log whose records were read is gone.
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

    /// The next record of those that existed at the start; `None` after the last.
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
