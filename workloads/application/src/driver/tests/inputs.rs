//! What is committed of an input whose writers are elected.

use std::sync::Arc;

use kbnt_domain::event::{Level, LowStock};

use super::super::inputs::Inputs;
use super::toy::Toy;
use crate::event::{Writer, WriterElected};
use crate::fence::TermFence;
use crate::machine::Position;
use crate::message::Topic;
use crate::ports::{Assignment, Commit};
use crate::testkit::{at, order, record};

fn writer(term: u64) -> Writer {
    Writer { term, name: "w".into() }
}

/// What a reader must know where this writer is the newest.
fn note(term: u64) -> String {
    let mut fence = TermFence::default();
    fence.elected(0, &writer(term));
    fence.note(0)
}

#[test]
fn each_commit_has_the_note_of_its_own_offset_until_a_later_election_is_behind_it() {
    let topic = Topic::InventoryEvents;
    let mut inputs = Inputs::default();
    assert_eq!(inputs.assigned(&Assignment::default(), &[topic]), None);
    for offset in 0..8 {
        if let Some(term) = [(0, 1), (5, 2)].iter().find_map(|(at, term)| (*at == offset).then_some(*term)) {
            let elected = WriterElected { writer: writer(term) };
            assert!(inputs.admits(&record(offset, at(0), elected)));
        }
        inputs.passed(Position { topic, partition: 0, offset });
    }
    // An order that waits holds the commits back, each time by a bit less.
    for (held, term) in [(2, 1), (3, 1), (5, 1), (6, 2), (7, 2)] {
        let toy = Toy { under_way: [(order(1), held)].into(), ..Toy::default() };
        let due = inputs.due(&toy);
        inputs.committed(&due);
        let due: Vec<_> = due.into_iter().map(|commit| (commit.next.offset, commit.note)).collect();
        assert_eq!(due, [(held, note(term))]);
    }
    let due = inputs.due(&Toy::default());
    assert_eq!((due[0].next.offset, due[0].note.as_str()), (8, note(2).as_str()));
}

#[test]
fn where_a_commit_without_a_note_lies_at_a_cut_the_first_record_says_whose_others_count() {
    let (topic, cut) = (Topic::InventoryEvents, 10);
    let here = Position { topic, partition: 0, offset: cut };
    let committed = vec![Commit { next: here, note: String::new() }];
    let assignment = Assignment { committed, ..Assignment::default() };
    let mut inputs = Inputs::default();
    assert_eq!(inputs.assigned(&assignment, &[topic]), Some(here));
    // Nothing is left before it that could say more.
    let mut fence = TermFence::default();
    fence.begin_at_cut(0);
    inputs.learn(here, &fence);
    let by = |term, offset| {
        let mut record = record(offset, at(0), WriterElected { writer: writer(term) });
        let message = Arc::make_mut(&mut record.message);
        message.event =
            LowStock { product: "A".parse().unwrap(), threshold: 1, level: Level::default() }.into();
        message.writer = Some(Arc::new(writer(term)));
        record
    };
    assert!(inputs.admits(&by(5, cut)));
    assert!(!inputs.admits(&by(4, cut + 1)) && !inputs.admits(&by(6, cut + 2)));
    assert!(inputs.admits(&by(5, cut + 3)));
}

#[test]
fn a_snapshot_goes_on_from_what_still_waits_for_its_answer() {
    let mut inputs = Inputs::default();
    assert_eq!(inputs.assigned(&Assignment::default(), &[Topic::InventoryEvents]), None);
    inputs.passed(Position { topic: Topic::InventoryEvents, partition: 0, offset: 7 });
    let waits = Toy { under_way: [(order(1), 3)].into(), ..Toy::default() };
    let offsets = |machine: &Toy| inputs.settled(machine).map(|at| at.offset).collect::<Vec<_>>();
    assert_eq!(offsets(&waits), [3]);
    assert_eq!(offsets(&Toy::default()), [8]);
}
