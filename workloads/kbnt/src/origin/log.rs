//! Reads directly from a log.

use std::collections::VecDeque;

use kbnt_application::ports::{EventLog, Fetched, LogReader};
use kbnt_application::{Position, Topic};
use kbnt_domain::Span;

use super::{From, Next, Seen};
use crate::failure::Failure;

/// Records per batch.
const BATCH: usize = 500;

/// How long to wait for one batch.
const WAIT: Span = Span::from_millis(500);

/// A log that is being read.
pub(crate) struct LogOrigin {
    reader: Box<dyn LogReader>,
    ready: VecDeque<Seen>,
    /// Where every partition ended at the start; `None` once that was reported.
    ends: Option<Vec<Position>>,
    /// Records beyond those ends that were read earlier.
    later: VecDeque<Seen>,
}

/// Where every partition of these topics ends now.
pub(crate) async fn ends(log: &dyn EventLog, topics: &[Topic]) -> Result<Vec<Position>, Failure> {
    let mut ends = Vec::new();
    // The trail comes first: everything that its links vouch for existed before them, and lies before the
    // other ends.
    let (trail, others): (Vec<&Topic>, Vec<&Topic>) =
        topics.iter().partition(|topic| **topic == Topic::AuditLogs);
    for topic in trail.into_iter().chain(others) {
        for partition in 0..topic.partitions() {
            let offset = log.bounds(*topic, partition).await?.end;
            ends.push(Position { topic: *topic, partition, offset });
        }
    }
    Ok(ends)
}

impl LogOrigin {
    pub(super) async fn open(log: &dyn EventLog, topics: &[Topic], from: From) -> Result<Self, Failure> {
        let ends = ends(log, topics).await?;
        let start = match from {
            From::Now => ends.clone(),
            From::Start => ends.iter().map(|end| Position { offset: 0, ..*end }).collect(),
        };
        Ok(Self {
            reader: log.with_bytes().read(start).await?,
            ready: VecDeque::new(),
            ends: Some(ends),
            later: VecDeque::new(),
        })
    }

    pub(super) async fn next(&mut self) -> Result<Next, Failure> {
        loop {
            if let Some(seen) = self.ready.pop_front() {
                return Ok(Next::Record(seen));
            }
            if let Some(ends) = &self.ends
                && self.reader.has_reached(ends)
            {
                self.ends = None;
                self.ready = std::mem::take(&mut self.later);
                return Ok(Next::CaughtUp);
            }
            let fetched = self.reader.next(BATCH, WAIT).await?;
            for seen in fetched.into_iter().filter_map(seen) {
                if self.is_later(seen.at()) { self.later.push_back(seen) } else { self.ready.push_back(seen) }
            }
        }
    }
}

impl LogOrigin {
    /// Whether the record did not exist at the start, as long as that matters.
    fn is_later(&self, at: Position) -> bool {
        let here = |end: &&Position| (end.topic, end.partition) == (at.topic, at.partition);
        let end = self.ends.iter().flatten().find(here);
        end.is_some_and(|end| at.offset >= end.offset)
    }
}

fn seen(fetched: Fetched) -> Option<Seen> {
    let raw = fetched.raw()?;
    let value = raw.value.clone().unwrap_or_default();
    let seen = Seen { written: raw.at, bytes: Some(raw.hash()), ..Seen::new(fetched.at(), value) };
    Some(match fetched {
        Fetched::Record(_) => seen,
        Fetched::Unreadable(record) => Seen { unreadable: Some(record), ..seen },
    })
}
