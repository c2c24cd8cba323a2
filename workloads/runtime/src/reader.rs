//! Readers of a log that pause after an error.

use kbnt_application::Position;
use kbnt_application::ports::{Commit, Fetched, GroupBatch, GroupReader, LogError, LogReader};
use kbnt_domain::Span;
use tokio::time::{Instant, sleep_until};

use super::backoff::Backoff;

/// A machine's inputs: its share in a group, or all partitions.
pub(super) enum Source {
    /// The partitions that the service's group assigns to this process.
    Group(Box<dyn GroupReader>),
    /// All partitions.
    All(Box<dyn LogReader>),
}

/// The partitions of one topic, each from a given position.
pub(super) struct Partitions(pub(super) Box<dyn LogReader>);

/// A reader that pauses after an error.
pub(super) struct Paced<T> {
    reader: T,
    pause: Backoff,
    until: Option<Instant>,
}

/// A reader of batches.
pub(super) trait Reads {
    type Batch;

    /// The next batch. Cancel safe.
    async fn next(&mut self, most: usize, wait: Span) -> Result<Self::Batch, LogError>;
}

impl Reads for Partitions {
    type Batch = Vec<Fetched>;

    async fn next(&mut self, most: usize, wait: Span) -> Result<Vec<Fetched>, LogError> {
        self.0.next(most, wait).await
    }
}

impl Reads for Source {
    type Batch = GroupBatch;

    async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        match self {
            Self::Group(reader) => reader.next(most, wait).await,
            // There is no change to wait for.
            Self::All(_) if most == 0 => std::future::pending().await,
            Self::All(reader) => reader.next(most, wait).await.map(GroupBatch::Records),
        }
    }
}

impl<T: Reads> Paced<T> {
    pub(super) const fn new(reader: T) -> Self {
        Self { reader, pause: Backoff::new(), until: None }
    }

    /// The next batch, after the pause.
    pub(super) async fn next(&mut self, most: usize, wait: Span) -> Result<T::Batch, LogError> {
        if let Some(until) = self.until {
            sleep_until(until).await;
            self.until = None;
        }
        let outcome = self.reader.next(most, wait).await;
        match &outcome {
            Ok(_) => self.pause.reset(),
            Err(_) => self.until = Some(Instant::now() + self.pause.next()),
        }
        outcome
    }
}

impl Paced<Partitions> {
    /// Its positions.
    pub(super) fn positions(&self) -> Vec<Position> {
        self.reader.0.positions()
    }
}

impl Paced<Source> {
    pub(super) async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError> {
        match &mut self.reader {
            Source::Group(reader) => reader.commit(commits).await,
            Source::All(_) => Ok(()),
        }
    }

    pub(super) async fn leave(self) -> Result<(), LogError> {
        match self.reader {
            Source::Group(reader) => reader.leave().await,
            Source::All(_) => Ok(()),
        }
    }
}
