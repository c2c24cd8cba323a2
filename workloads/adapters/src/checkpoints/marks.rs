//! The last records of snapshots, also of checkpoints that are not there any more.

use kbnt_application::ports::Mark;
use kbnt_application::{Position, Topic};
use kbnt_domain::EventId;
use serde::{Deserialize, Serialize};

/// A manifest has those of so many checkpoints: with one in five minutes, of one or two days all, and fewer of each day before.
pub(super) const MARKS_MOST: usize = 1_000;

/// The last record of a snapshot in a partition of the output topic.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    partition: u32,
    offset: u64,
    id: String,
}

/// The last records of the snapshot of a checkpoint.
pub(super) type Marks = Vec<Last>;

pub(super) fn marks_of(marks: &[Mark]) -> Marks {
    let last = |mark: &Mark| {
        let Position { partition, offset, .. } = mark.at;
        Last { partition, offset, id: mark.id.to_string() }
    };
    marks.iter().map(last).collect()
}

impl Last {
    /// The record, if there can be such a one in this topic.
    pub(super) fn mark(&self, topic: Topic) -> Option<Mark> {
        let Self { partition, offset, id } = self;
        let id = EventId::from_uuid(id.parse().ok()?);
        let at = Position { topic, partition: *partition, offset: *offset };
        (*partition < topic.partitions()).then_some(Mark { at, id })
    }
}

/// Adds those of the newest checkpoint. If they become too many, half of the older half goes: nobody wants to cut a log to the minute that
/// is long ago.
pub(super) fn add(all: &mut Vec<Marks>, newest: Marks) {
    all.push(newest);
    if all.len() > MARKS_MOST {
        let older = all.len() / 2;
        let mut index = 0;
        all.retain(|_| {
            index += 1;
            index > older || index % 2 == 1
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_newest_stay_and_fewer_the_older_they_are() {
        let mut all = Vec::new();
        let last = |offset| Last { partition: 0, offset, id: String::new() };
        for offset in 1..=10_000 {
            add(&mut all, vec![last(offset)]);
            assert!(all.len() <= MARKS_MOST);
        }
        let offsets: Vec<u64> = all.iter().map(|marks| marks[0].offset).collect();
        assert!(offsets.is_sorted() && offsets.len() > MARKS_MOST / 2);
        let newest: Vec<u64> = (9_501..=10_000).collect();
        assert!(offsets.ends_with(&newest), "{offsets:?}");
        assert!(offsets[0] < 2_500, "one of long ago is there: {}", offsets[0]);
    }
}
