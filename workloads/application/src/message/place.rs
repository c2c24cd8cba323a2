//! Whether a record lies where every reader looks for it: in its key's partition.

use thiserror::Error;

use super::classify::{Classification, Subject};
use super::position::Position;
use super::topic::partition_of;
use crate::event::RecordedEvent;

/// A record lies in a partition that is not its key's. The services of an order work on one partition number each, so nobody
/// who is in charge of the order would read it there, and whoever does read it is in charge of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("lies in partition {partition}, its key belongs to partition {home}")]
pub struct Misplaced {
    /// Where it lies.
    pub partition: u32,
    /// Where it belongs.
    pub home: u32,
}

/// The partition that `event` belongs to by what it is about, whatever key its record has; `None` for one that is about its
/// partition.
pub fn home_of(event: &RecordedEvent) -> Option<u32> {
    match Classification::of(event).topic().partitions() {
        1 => Some(0),
        partitions => Subject::of(event).key().map(|key| partition_of(key, partitions)),
    }
}

/// Whether a record at `at` counts there.
///
/// This is the one rule for all readers: a log applies it to each record before anybody handles, folds or follows it.
///
/// # Errors
/// Where it belongs, if that is somewhere else.
pub fn in_place(event: &RecordedEvent, at: Position) -> Result<(), Misplaced> {
    match home_of(event) {
        Some(home) if home != at.partition => Err(Misplaced { partition: at.partition, home }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use kbnt_domain::event::{LowStock, OrderCancelRequested, UserStatus, UserStatusChanged};

    use super::*;
    use crate::event::{Writer, WriterElected};
    use crate::message::Topic;

    /// In which of the three partitions the event counts.
    fn counts_in(event: &RecordedEvent) -> Vec<u32> {
        let topic = Classification::of(event).topic();
        let at = |partition| Position { topic, partition, offset: 0 };
        (0..3).filter(|partition| in_place(event, at(*partition)).is_ok()).collect()
    }

    #[test]
    fn a_record_counts_in_the_partition_of_what_it_is_about() {
        let order = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap();
        assert_eq!(counts_in(&OrderCancelRequested { order }.into()), [2]);
        let user = "ana".parse().unwrap();
        assert_eq!(counts_in(&UserStatusChanged { user, status: UserStatus::Active }.into()), [1]);
        let level = kbnt_domain::event::Level { real: 1, reserved: 0 };
        let product = "21".parse().unwrap();
        assert_eq!(counts_in(&LowStock { product, threshold: 1, level }.into()), [0]);
        let writer = Writer { term: 1, name: "w".into() };
        assert_eq!(counts_in(&WriterElected { writer }.into()), [0, 1, 2], "each partition has its own");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let at = Position { topic: Topic::OrderEvents, partition: 0, offset: 40 };
        let order = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap();
        let misplaced = in_place(&OrderCancelRequested { order }.into(), at).unwrap_err();
        assert_eq!(misplaced.to_string(), "lies in partition 0, its key belongs to partition 2");
    }
}
