//! Paces partitions with a long backlog, so that none gets far ahead of the slowest. Records that belong together, such as those of
//! one order in several topics, then meet in memory soon, however long the topics are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kbnt_application::Position;

use crate::client::TopicPartition;

/// The most that a partition may be ahead of the slowest, in thousandths of its own backlog.
const MAX_LEAD: u64 = 20;

/// A partition with a shorter backlog neither waits nor is waited for.
const MIN_BACKLOG: u64 = 5_000;

/// The others stop waiting for a partition that yields no record for this long: it may have no more, although its end offset is
/// higher. This is longer than a slow service takes for the queued records of the other partitions.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The progress of each partition through the backlog that it had at the start.
#[derive(Debug, Default)]
pub(crate) struct CatchUpPacing {
    backlogs: BTreeMap<TopicPartition, Backlog>,
}

#[derive(Debug)]
struct Backlog {
    start: u64,
    end: u64,
    next: u64,
    last_record: Instant,
    paused: bool,
}

impl Backlog {
    /// The share that was read, in thousandths.
    fn progress(&self) -> u64 {
        (self.next - self.start) * 1_000 / (self.end - self.start)
    }
}

impl CatchUpPacing {
    /// Adds a partition whose backlog begins at `from` and ends before the offset `end`.
    pub(crate) fn start(&mut self, from: Position, end: u64, now: Instant) {
        if end > from.offset + MIN_BACKLOG {
            let (start, next) = (from.offset, from.offset);
            let backlog = Backlog { start, end, next, last_record: now, paused: false };
            self.backlogs.insert((from.topic, from.partition), backlog);
        }
    }

    /// Records that the record at `at` was read.
    pub(crate) fn record_read(&mut self, at: Position, now: Instant) {
        let partition = (at.topic, at.partition);
        let Some(backlog) = self.backlogs.get_mut(&partition) else { return };
        (backlog.next, backlog.last_record) = (backlog.next.max(at.offset + 1), now);
        if backlog.next >= backlog.end {
            self.backlogs.remove(&partition);
        }
    }

    /// Removes a partition that is no longer read.
    pub(crate) fn remove(&mut self, partition: TopicPartition) {
        self.backlogs.remove(&partition);
    }

    /// Removes all partitions.
    pub(crate) fn clear(&mut self) {
        self.backlogs.clear();
    }

    /// The partitions to pause until the slowest catches up.
    pub(crate) fn partitions_to_pause(&mut self, now: Instant) -> BTreeSet<TopicPartition> {
        let is_reading =
            |backlog: &&Backlog| !backlog.paused && now.duration_since(backlog.last_record) < STALL_TIMEOUT;
        let slowest = self.backlogs.values().filter(is_reading).map(Backlog::progress).min();
        for backlog in self.backlogs.values_mut() {
            // A paused partition resumes only once half of its lead is gone, so that it is not paused again at once.
            let max_lead = if backlog.paused { MAX_LEAD / 2 } else { MAX_LEAD };
            let pause = slowest.is_some_and(|slowest| backlog.progress() > slowest + max_lead);
            if backlog.paused && !pause {
                backlog.last_record = now;
            }
            backlog.paused = pause;
        }
        self.backlogs.iter().filter(|(_, backlog)| backlog.paused).map(|(partition, _)| *partition).collect()
    }
}

#[cfg(test)]
mod tests {
    use kbnt_application::Topic;

    use super::*;

    const LONG: TopicPartition = (Topic::InventoryEvents, 0);
    const SHORT: TopicPartition = (Topic::UserEvents, 0);

    fn at((topic, partition): TopicPartition, offset: u64) -> Position {
        Position { topic, partition, offset }
    }

    fn of(ends: &[(TopicPartition, u64)], now: Instant) -> CatchUpPacing {
        let mut pacing = CatchUpPacing::default();
        for (partition, end) in ends {
            pacing.start(at(*partition, 0), *end, now);
        }
        pacing
    }

    #[test]
    fn whoever_is_ahead_waits_until_half_of_its_lead_is_gone() {
        let now = Instant::now();
        let mut pacing = of(&[(LONG, 100_000), (SHORT, 50_000)], now);
        for (long, short, waits) in [
            (0, 1_000, false),
            (0, 1_050, true),
            (1_000, 1_050, true),
            (1_100, 1_050, false),
            (1_100, 1_600, true),
            (4_000, 1_600, false),
        ] {
            pacing.record_read(at(LONG, long), now);
            pacing.record_read(at(SHORT, short), now);
            let waiting = if waits { BTreeSet::from([SHORT]) } else { BTreeSet::new() };
            let paused = pacing.partitions_to_pause(now);
            assert_eq!(paused, waiting, "{long} of the long one, {short} of the short one");
        }
    }

    #[test]
    fn nobody_waits_for_one_that_gives_nothing_or_is_at_its_end() {
        let now = Instant::now();
        let mut pacing = of(&[(LONG, 100_000), (SHORT, 50_000)], now);
        pacing.record_read(at(SHORT, 10_000), now);
        assert_eq!(pacing.partitions_to_pause(now), BTreeSet::from([SHORT]));
        let later = now + STALL_TIMEOUT;
        assert_eq!(pacing.partitions_to_pause(later), BTreeSet::new(), "it gives nothing");
        pacing.record_read(at(LONG, 500), later);
        assert_eq!(pacing.partitions_to_pause(later), BTreeSet::from([SHORT]), "it goes on");
        pacing.record_read(at(LONG, 99_999), later);
        assert_eq!(pacing.partitions_to_pause(later), BTreeSet::new(), "it is at its end");
    }

    #[test]
    fn a_few_records_are_read_as_they_come() {
        let now = Instant::now();
        let mut pacing = of(&[(LONG, 100_000), (SHORT, MIN_BACKLOG)], now);
        pacing.record_read(at(SHORT, MIN_BACKLOG - 2), now);
        assert_eq!(pacing.partitions_to_pause(now), BTreeSet::new());
    }

    #[test]
    fn a_partition_that_is_no_longer_read_holds_nobody_up() {
        let now = Instant::now();
        let mut pacing = of(&[(LONG, 100_000), (SHORT, 50_000)], now);
        pacing.record_read(at(SHORT, 10_000), now);
        pacing.remove(LONG);
        assert_eq!(pacing.partitions_to_pause(now), BTreeSet::new());
    }
}
