//! Reads to the end of partitions.

use kbnt_application::ports::{ErrorClass, Fetched, LogReader, Stage};
use kbnt_application::{Machine, Position};
use kbnt_domain::Span;

use super::backoff::Backoff;
use super::core::{Core, End, Link};

/// Records a read may return.
pub(super) const MOST: usize = 1_000;

/// How long a read waits for records.
pub(super) const WAIT: Span = Span::from_millis(500);

impl<M: Machine> Core<M> {
    /// Gives `take` all records up to `ends`; how many there were.
    pub(super) async fn read_to(
        &mut self,
        reader: &mut dyn LogReader,
        ends: &[Position],
        mut take: impl FnMut(&mut M, Fetched),
    ) -> Result<u64, End> {
        let mut count = 0;
        while !reader.has_reached(ends) {
            for fetched in self.link.fetch(reader).await? {
                count += 1;
                take(&mut self.machine, fetched);
            }
        }
        Ok(count)
    }
}

impl Link {
    /// The next records, however long the log is away; until the runner is told to stop.
    pub(super) async fn fetch(&self, reader: &mut dyn LogReader) -> Result<Vec<Fetched>, End> {
        let mut pause = Backoff::new();
        loop {
            let outcome = tokio::select! {
                () = self.shutdown.cancelled() => return Err(End::Told),
                outcome = reader.next(MOST, WAIT) => outcome,
            };
            match outcome {
                Ok(records) => return Ok(records),
                Err(error) if error.class() == ErrorClass::Permanent => return Err(error.into()),
                Err(error) => self.unavailable(Stage::Read, &error),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Err(End::Told),
                () = tokio::time::sleep(pause.next()) => {}
            }
        }
    }
}
