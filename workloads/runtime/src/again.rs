//! Records below the commits that are read again, because a commit alone is not believed.

use kbnt_application::fence::TermFence;
use kbnt_application::ports::{Fetched, LogReader};
use kbnt_application::{Position, Topic};

use super::core::{End, Link};

impl Link {
    /// What a fence knows that was shown all records of a partition of inventory-events before `at`.
    pub(super) async fn fence_before(&self, at: Position) -> Result<TermFence, End> {
        let first = Position { offset: 0, ..at };
        let mut fence = TermFence::default();
        let (mut reader, until) = self.open_until(first, at).await?;
        while !reader.has_reached(&[until]) {
            for fetched in self.fetch(reader.as_mut()).await? {
                if let Fetched::Record(record) = fetched
                    && record.at.offset < at.offset
                {
                    // Whether it counts is of no interest here: that it was shown is.
                    let _ = fence.admits(&record);
                }
            }
        }
        Ok(fence)
    }

    /// The same where the record before `at` is known to count, which mostly tells all.
    pub(super) async fn fence_after_counted(&self, at: Position) -> Result<TermFence, End> {
        if at.topic != Topic::InventoryEvents || at.offset == 0 {
            return Ok(TermFence::default());
        }
        let before = Position { offset: at.offset - 1, ..at };
        let (mut reader, until) = self.open_until(before, at).await?;
        while !reader.has_reached(&[until]) {
            let fetched = self.fetch(reader.as_mut()).await?;
            let Some(first) = fetched.first() else { continue };
            if let Fetched::Record(record) = first
                && record.at == before
                && let Some(writer) = record.message.writer.as_deref()
            {
                let mut fence = TermFence::default();
                fence.elected(at.partition, writer);
                return Ok(fence);
            }
            break;
        }
        self.fence_before(at).await
    }

    /// A reader of one partition, and where it is done: at `until`, or where the log ends before it.
    pub(super) async fn open_until(
        &self,
        from: Position,
        until: Position,
    ) -> Result<(Box<dyn LogReader>, Position), End> {
        let ends = self.ends(vec![until]).await?;
        let end = ends.first().map_or(until.offset, |end| end.offset.min(until.offset));
        Ok((self.open(&[from]).await?, Position { offset: end, ..until }))
    }
}
