//! The audit trail in a stream of all events. It has as many records as all other topics together, and few
//! clients want them. So each stream reads it from the log, and the read models skip it.

use kbnt_application::ports::{EventLog, LogError, LogReader};
use kbnt_application::{Delivered, Position, Topic};

use super::stream::{BATCH, WAIT, understood};

/// Reads the audit trail from a given position.
pub(super) struct Trail {
    reader: Box<dyn LogReader>,
    /// Where each of its partitions ended when it was opened.
    ends: Vec<Position>,
}

impl Trail {
    /// Whether records of `topic` come from here.
    pub(super) fn is_of(topic: Topic) -> bool {
        topic == Topic::AuditLogs
    }

    /// Reads from `start`; the trail ended at `ends` just now.
    pub(super) async fn open(
        log: &dyn EventLog,
        start: Vec<Position>,
        ends: Vec<Position>,
    ) -> Result<Self, LogError> {
        Ok(Self { reader: log.read(start).await?, ends })
    }

    /// Whether everything is read that existed when it was opened.
    pub(super) fn is_live(&self) -> bool {
        self.reader.has_reached(&self.ends)
    }

    /// The next records; may be empty. Cancel safe.
    pub(super) async fn next(&mut self) -> Result<Vec<Delivered>, LogError> {
        Ok(self.reader.next(BATCH, WAIT).await?.into_iter().filter_map(understood).collect())
    }
}
