//! The audit trail in a stream of everything: as many records as all other topics together, and few who want them. So each
//! stream reads it from the log, and the read models do without.

use kbnt_application::ports::{EventLog, LogError, LogReader};
use kbnt_application::{Delivered, Position, Topic};

use super::stream::{BATCH, WAIT, understood};

/// The audit trail from some position on.
pub(super) struct Trail {
    reader: Box<dyn LogReader>,
    /// Where each of its partitions ended when it was opened.
    ends: Vec<Position>,
}

impl Trail {
    /// Whether records of `topic` come by this way.
    pub(super) fn is_of(topic: Topic) -> bool {
        topic == Topic::AuditLogs
    }

    /// Reads it from `start` on; it ended at `ends` just now.
    pub(super) async fn open(
        log: &dyn EventLog,
        start: Vec<Position>,
        ends: Vec<Position>,
    ) -> Result<Self, LogError> {
        Ok(Self { reader: log.read(start).await?, ends })
    }

    /// Whether all is read that was there when it was opened.
    pub(super) fn is_live(&self) -> bool {
        self.reader.has_reached(&self.ends)
    }

    /// The next records; may be none. Whoever stops waiting loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<Delivered>, LogError> {
        Ok(self.reader.next(BATCH, WAIT).await?.into_iter().filter_map(understood).collect())
    }
}
