//! Partitions that are far behind are read abreast: none gets far ahead of the slowest. So what belongs together, such as the
//! records of one order in several topics, meets in memory soon, however long the topics are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kbnt_application::Position;

use crate::client::Place;

/// How far a partition may be ahead of the slowest, in thousandths of what each has to read.
const AHEAD: u64 = 20;

/// One with fewer records to read than these neither waits nor is waited for.
const FEW: u64 = 5_000;

/// One that gave nothing for so long is not waited for: there may be nothing more in it, although it ends later. It is longer
/// than a slow service takes for what is queued of the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far each partition has come of what was in it when reading began.
#[derive(Debug, Default)]
pub(crate) struct Abreast {
    courses: BTreeMap<Place, Course>,
}

#[derive(Debug)]
struct Course {
    start: u64,
    end: u64,
    next: u64,
    /// When it last gave a record.
    heard: Instant,
    waits: bool,
}

impl Course {
    /// In thousandths.
    fn progress(&self) -> u64 {
        (self.next - self.start) * 1_000 / (self.end - self.start)
    }
}

impl Abreast {
    /// A partition is read from `from` on, and ends at `end` now.
    pub(crate) fn begin(&mut self, from: Position, end: u64, now: Instant) {
        if end > from.offset + FEW {
            let (start, next) = (from.offset, from.offset);
            let course = Course { start, end, next, heard: now, waits: false };
            self.courses.insert((from.topic, from.partition), course);
        }
    }

    /// The record at `at` was read.
    pub(crate) fn read(&mut self, at: Position, now: Instant) {
        let place = (at.topic, at.partition);
        let Some(course) = self.courses.get_mut(&place) else { return };
        (course.next, course.heard) = (course.next.max(at.offset + 1), now);
        if course.next >= course.end {
            self.courses.remove(&place);
        }
    }

    /// A partition is read no more.
    pub(crate) fn end(&mut self, place: Place) {
        self.courses.remove(&place);
    }

    /// No partition is read any more.
    pub(crate) fn clear(&mut self) {
        self.courses.clear();
    }

    /// Those that must let the others catch up now.
    pub(crate) fn waiting(&mut self, now: Instant) -> BTreeSet<Place> {
        let reading = |course: &&Course| !course.waits && now.duration_since(course.heard) < PATIENCE;
        let slowest = self.courses.values().filter(reading).map(Course::progress).min();
        for course in self.courses.values_mut() {
            // Whoever waits does so until half of its lead is gone: it is not stopped again at once.
            let most = if course.waits { AHEAD / 2 } else { AHEAD };
            let waits = slowest.is_some_and(|slowest| course.progress() > slowest + most);
            if course.waits && !waits {
                course.heard = now;
            }
            course.waits = waits;
        }
        self.courses.iter().filter(|(_, course)| course.waits).map(|(place, _)| *place).collect()
    }
}

#[cfg(test)]
mod tests {
    use kbnt_application::Topic;

    use super::*;

    const LONG: Place = (Topic::InventoryEvents, 0);
    const SHORT: Place = (Topic::UserEvents, 0);

    fn at((topic, partition): Place, offset: u64) -> Position {
        Position { topic, partition, offset }
    }

    fn of(ends: &[(Place, u64)], now: Instant) -> Abreast {
        let mut abreast = Abreast::default();
        for (place, end) in ends {
            abreast.begin(at(*place, 0), *end, now);
        }
        abreast
    }

    #[test]
    fn whoever_is_ahead_waits_until_half_of_its_lead_is_gone() {
        let now = Instant::now();
        let mut abreast = of(&[(LONG, 100_000), (SHORT, 50_000)], now);
        for (long, short, waits) in [
            (0, 1_000, false),
            (0, 1_050, true),
            (1_000, 1_050, true),
            (1_100, 1_050, false),
            (1_100, 1_600, true),
            (4_000, 1_600, false),
        ] {
            abreast.read(at(LONG, long), now);
            abreast.read(at(SHORT, short), now);
            let waiting = if waits { BTreeSet::from([SHORT]) } else { BTreeSet::new() };
            assert_eq!(abreast.waiting(now), waiting, "{long} of the long one, {short} of the short one");
        }
    }

    #[test]
    fn nobody_waits_for_one_that_gives_nothing_or_is_at_its_end() {
        let now = Instant::now();
        let mut abreast = of(&[(LONG, 100_000), (SHORT, 50_000)], now);
        abreast.read(at(SHORT, 10_000), now);
        assert_eq!(abreast.waiting(now), BTreeSet::from([SHORT]));
        assert_eq!(abreast.waiting(now + PATIENCE), BTreeSet::new(), "it gives nothing");
        abreast.read(at(LONG, 500), now + PATIENCE);
        assert_eq!(abreast.waiting(now + PATIENCE), BTreeSet::from([SHORT]), "it goes on");
        abreast.read(at(LONG, 99_999), now + PATIENCE);
        assert_eq!(abreast.waiting(now + PATIENCE), BTreeSet::new(), "it is at its end");
    }

    #[test]
    fn a_few_records_are_read_as_they_come() {
        let now = Instant::now();
        let mut abreast = of(&[(LONG, 100_000), (SHORT, FEW)], now);
        abreast.read(at(SHORT, FEW - 2), now);
        assert_eq!(abreast.waiting(now), BTreeSet::new());
    }

    #[test]
    fn what_is_read_no_more_holds_nobody_up() {
        let now = Instant::now();
        let mut abreast = of(&[(LONG, 100_000), (SHORT, 50_000)], now);
        abreast.read(at(SHORT, 10_000), now);
        abreast.end(LONG);
        assert_eq!(abreast.waiting(now), BTreeSet::new());
    }
}
