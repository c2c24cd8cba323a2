//! Where a machine's inputs come from: a share of a group's, or all.

use kbnt_application::ports::{Commit, GroupBatch, GroupReader, LogError, LogReader};
use kbnt_domain::Span;

/// The reader of a machine's inputs.
pub(super) enum Source {
    /// The partitions that the service's group leaves to this process.
    Group(Box<dyn GroupReader>),
    /// All partitions; what was handled is found again in the service's own records, so nothing is committed.
    All(Box<dyn LogReader>),
}

impl Source {
    /// The next batch; for 0 records the next change only.
    pub(super) async fn next(&mut self, most: usize, wait: Span) -> Result<GroupBatch, LogError> {
        match self {
            Self::Group(reader) => reader.next(most, wait).await,
            // There is no change to wait for.
            Self::All(_) if most == 0 => std::future::pending().await,
            Self::All(reader) => reader.next(most, wait).await.map(GroupBatch::Records),
        }
    }

    pub(super) async fn commit(&mut self, commits: Vec<Commit>) -> Result<(), LogError> {
        match self {
            Self::Group(reader) => reader.commit(commits).await,
            Self::All(_) => Ok(()),
        }
    }

    pub(super) async fn leave(self) -> Result<(), LogError> {
        match self {
            Self::Group(reader) => reader.leave().await,
            Self::All(_) => Ok(()),
        }
    }
}
