//! Which records of the audited topics have a link.

use std::collections::BTreeMap;
use std::ops::Range;

use super::image::Linked;
use crate::machine::Position;
use crate::message::Topic;

/// Stretches without a link that are remembered of one partition; of more, the oldest are forgotten.
const GAPS: usize = 10_000;

/// The linked records of all partitions.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    partitions: BTreeMap<(Topic, u32), Covered>,
}

/// The linked records of one partition: all below `next`, but for the gaps.
#[derive(Clone, Debug, Default)]
struct Covered {
    next: u64,
    /// The ends of the gaps by their starts.
    gaps: BTreeMap<u64, u64>,
}

impl Coverage {
    /// The record at this position has a link.
    pub(super) fn add(&mut self, at: Position) {
        self.partitions.entry((at.topic, at.partition)).or_default().add(at.offset);
    }

    /// The same, where links of the partition before the first one that is seen may be gone.
    pub(super) fn add_to_cut(&mut self, at: Position) {
        let first = Covered { next: at.offset, gaps: BTreeMap::new() };
        self.partitions.entry((at.topic, at.partition)).or_insert(first).add(at.offset);
    }

    /// Whether the record at this position has a link.
    pub(super) fn has(&self, at: Position) -> bool {
        self.partitions.get(&(at.topic, at.partition)).is_some_and(|covered| covered.has(at.offset))
    }

    /// The offset after the last record of a partition that has a link; 0 if none has.
    pub(super) fn next(&self, topic: Topic, partition: u32) -> u64 {
        self.partitions.get(&(topic, partition)).map_or(0, |covered| covered.next)
    }

    /// Of each partition the position after the last record that has a link.
    pub(super) fn ends(&self) -> impl Iterator<Item = Position> {
        self.partitions.iter().map(|((topic, partition), covered)| Position {
            topic: *topic,
            partition: *partition,
            offset: covered.next,
        })
    }

    /// All of it.
    pub(super) fn all(&self) -> impl Iterator<Item = Linked> {
        self.partitions.iter().map(|(&(topic, partition), covered)| Linked {
            next: Position { topic, partition, offset: covered.next },
            gaps: covered.gaps.iter().map(|(start, end)| *start..*end).collect(),
        })
    }

    /// What [`Coverage::all`] says; `None` if that cannot be.
    pub(super) fn of(all: Vec<Linked>) -> Option<Self> {
        let mut partitions = BTreeMap::new();
        for Linked { next: Position { topic, partition, offset: next }, gaps } in all {
            let is_gap = |gap: &Range<u64>| gap.start < gap.end && gap.end < next;
            let are_apart = gaps.is_sorted_by(|one, other| one.end < other.start);
            if gaps.len() > GAPS || !are_apart || !gaps.iter().all(is_gap) {
                return None;
            }
            let gaps = gaps.into_iter().map(|gap| (gap.start, gap.end)).collect();
            partitions.insert((topic, partition), Covered { next, gaps }).is_none().then_some(())?;
        }
        Some(Self { partitions })
    }

    /// The stretches of a partition below `end` in which no record has a link.
    pub(super) fn missing(&self, topic: Topic, partition: u32, end: u64) -> Vec<Range<u64>> {
        let covered = self.partitions.get(&(topic, partition));
        let gaps =
            covered.into_iter().flat_map(|covered| covered.gaps.iter().map(|(start, end)| *start..*end));
        let rest = self.next(topic, partition)..end;
        gaps.chain(std::iter::once(rest))
            .map(|gap| gap.start..gap.end.min(end))
            .filter(|gap| !gap.is_empty())
            .collect()
    }
}

impl Covered {
    fn add(&mut self, offset: u64) {
        if offset >= self.next {
            if offset > self.next {
                self.gaps.insert(self.next, offset);
            }
            self.next = offset + 1;
        } else if let Some((start, end)) = self.gap(offset) {
            self.gaps.remove(&start);
            if start < offset {
                self.gaps.insert(start, offset);
            }
            if offset + 1 < end {
                self.gaps.insert(offset + 1, end);
            }
        }
        while self.gaps.len() > GAPS {
            self.gaps.pop_first();
        }
    }

    fn has(&self, offset: u64) -> bool {
        offset < self.next && self.gap(offset).is_none()
    }

    /// The gap that holds this offset.
    fn gap(&self, offset: u64) -> Option<(u64, u64)> {
        let (start, end) = self.gaps.range(..=offset).next_back()?;
        (offset < *end).then_some((*start, *end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(offset: u64) -> Position {
        Position { topic: Topic::OrderEvents, partition: 1, offset }
    }

    proptest! {
        #[test]
        fn it_is_a_set(offsets in prop::collection::vec(0_u64..60, 0..80), end in 0_u64..70) {
            let mut coverage = Coverage::default();
            let mut set = BTreeSet::new();
            for offset in offsets {
                coverage.add(at(offset));
                set.insert(offset);
            }
            for offset in 0..70 {
                prop_assert_eq!(coverage.has(at(offset)), set.contains(&offset));
            }
            let missing: Vec<u64> = coverage.missing(Topic::OrderEvents, 1, end).into_iter().flatten().collect();
            let wanted: Vec<u64> = (0..end).filter(|offset| !set.contains(offset)).collect();
            prop_assert_eq!(missing, wanted);
            let again = Coverage::of(coverage.all().collect()).unwrap();
            for offset in 0..70 {
                prop_assert_eq!(again.has(at(offset)), set.contains(&offset));
            }
        }
    }

    #[test]
    fn what_lies_before_a_cut_is_not_missing() {
        let mut coverage = Coverage::default();
        coverage.add_to_cut(at(7));
        coverage.add_to_cut(at(9));
        assert_eq!(coverage.missing(Topic::OrderEvents, 1, 12), [8..9, 10..12]);
    }
}
