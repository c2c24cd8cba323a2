//! Who may write, case by case.

use std::sync::Arc;

use kbnt_application::event::{RecordedEvent, Writer, WriterElected};
use kbnt_application::fence::TermFence;
use kbnt_application::machine::Halt;
use kbnt_application::{Delivered, Machine, Message, Position, Service, SoleWriter, Topic, Trace};
use kbnt_domain::event::{Level, LowStock, OrderCancelRequested};
use kbnt_domain::stock::DeclareError;
use kbnt_domain::{EventId, Timestamp};

use crate::lab::{Lab, Stage};
use crate::steps::{declaration, order, validated};

fn writer(term: u64, name: &str) -> Writer {
    Writer { term, name: name.into() }
}

fn record(partition: u32, by: Option<Writer>, event: impl Into<RecordedEvent>) -> Delivered {
    let id = EventId::named("a record");
    let message = Message {
        id,
        at: Timestamp::default(),
        service: Service::Inventory,
        cause: None,
        trace: Trace::root(&id),
        writer: by.map(Arc::new),
        event: event.into(),
    };
    let at = Position { topic: Topic::InventoryEvents, partition, offset: 0 };
    Delivered { at, message: Arc::new(message), source: None, raw: None }
}

fn election(partition: u32, by: &Writer) -> Delivered {
    record(partition, Some(by.clone()), WriterElected { writer: by.clone() })
}

fn alert(partition: u32, by: Option<&Writer>) -> Delivered {
    let event = LowStock { product: "A".parse().unwrap(), threshold: 1, level: Level::default() };
    record(partition, by.cloned(), event)
}

#[test]
fn only_the_newest_writer_counts_in_each_partition() {
    let (old, new) = (writer(1, "a"), writer(2, "a"));
    let mut fence = TermFence::default();
    assert!(fence.admits(&election(0, &old)));
    assert!(fence.admits(&alert(0, Some(&old))));
    assert!(!fence.admits(&alert(0, None)));
    assert!(fence.admits(&election(0, &new)));
    assert!(!fence.admits(&alert(0, Some(&old))));
    assert!(!fence.admits(&election(0, &old)));
    assert!(fence.admits(&alert(0, Some(&new))));
    // The other partition has not seen the election yet.
    assert!(fence.admits(&election(1, &old)));
    assert!(fence.admits(&alert(1, Some(&old))));
}

#[test]
fn a_copy_of_the_newest_election_counts_and_of_an_older_one_does_not() {
    let mut fence = TermFence::default();
    let admitted = [1, 1, 2, 1, 2].map(|term| fence.admits(&election(0, &writer(term, "a"))));
    assert_eq!(admitted, [true, true, true, false, true]);
}

#[test]
fn names_break_ties_of_terms() {
    let (lesser, greater) = (writer(3, "a"), writer(3, "b"));
    let mut fence = TermFence::default();
    assert!(fence.admits(&election(0, &lesser)));
    assert!(fence.admits(&election(0, &greater)));
    assert!(!fence.admits(&alert(0, Some(&lesser))));
    // The same election again is as good as any copy of a record; one of before is not.
    assert!(fence.admits(&election(0, &greater)));
    assert!(!fence.admits(&election(0, &lesser)));
    assert!(fence.admits(&alert(0, Some(&greater))));
}

#[test]
fn a_note_carries_the_fence_over_a_restart() {
    let (old, new) = (writer(1, "a"), writer(2, "name with spaces"));
    let mut fence = TermFence::default();
    assert_eq!(fence.note(0), "");
    fence.admits(&election(0, &new));
    let mut restored = TermFence::default();
    restored.restore(0, &fence.note(0)).unwrap();
    assert!(!restored.admits(&alert(0, Some(&old))));
    assert!(restored.admits(&alert(0, Some(&new))));
    assert!(restored.restore(0, "").is_err());
    assert!(!restored.admits(&alert(0, Some(&new))), "nobody is known to be elected");
    assert!(restored.admits(&election(0, &old)));
    assert!(restored.admits(&alert(0, Some(&old))));
}

#[test]
fn a_writer_that_was_elected_in_another_log_does_not_count() {
    let (stranger, own, greater) = (writer(7, "a"), writer(1, "a"), writer(1, "b"));
    let mut fence = TermFence::default();
    assert!(!fence.admits(&alert(0, Some(&stranger))), "before the first election");
    assert!(fence.admits(&election(0, &own)));
    for other in [&stranger, &greater] {
        assert!(!fence.admits(&alert(0, Some(other))), "{other:?}");
    }
    assert!(fence.admits(&alert(0, Some(&own))));
}

#[test]
fn who_begins_amid_takes_the_greatest_writer_for_the_elected_one_until_an_election_is_seen() {
    let (old, own, new) = (writer(4, "a"), writer(5, "a"), writer(6, "a"));
    let mut fence = TermFence::default();
    fence.begin_amid(0);
    assert!(fence.admits(&alert(0, Some(&old))), "nothing says that it was fenced before");
    assert!(fence.admits(&alert(0, Some(&own))));
    assert!(!fence.admits(&alert(0, Some(&old))));
    assert!(!fence.admits(&alert(0, None)));
    assert!(!fence.admits(&election(0, &old)));
    assert!(fence.admits(&election(0, &own)), "a copy");
    assert!(!fence.admits(&alert(0, Some(&new))), "from here on its election would have been seen");
    assert!(!fence.admits(&alert(1, Some(&own))), "the other partition is read from its first record on");
}

#[test]
fn where_a_log_is_cut_the_first_record_counts_and_says_whose_others_do() {
    let (old, own, new) = (writer(4, "a"), writer(5, "a"), writer(6, "a"));
    let mut fence = TermFence::default();
    fence.begin_at_cut(0);
    assert!(fence.admits(&alert(0, Some(&own))));
    for other in [&old, &new] {
        assert!(!fence.admits(&alert(0, Some(other))), "{other:?}");
    }
    assert!(fence.admits(&election(0, &new)));
    assert!(!fence.admits(&alert(0, Some(&own))));
    assert!(!fence.admits(&alert(1, Some(&own))), "the other partition is not cut");
    // Cut once more, in front of a reader: the election of whoever writes now may be gone.
    let newest = writer(7, "a");
    fence.begin_at_cut(0);
    assert!(fence.admits(&alert(0, Some(&newest))));
    assert!(!fence.admits(&alert(0, Some(&new))));
}

#[test]
fn a_note_that_nobody_left_is_refused() {
    let mut fence = TermFence::default();
    fence.admits(&election(0, &writer(2, "main-a5b5")));
    let note = fence.note(0);
    assert!(fence.clone().restore(1, &note).is_err(), "it is of another partition");
    for bit in 0..note.len() * 8 {
        let mut flipped = note.clone().into_bytes();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(flipped) = String::from_utf8(flipped) else { continue };
        let mut restored = fence.clone();
        assert!(restored.restore(0, &flipped).is_err(), "{flipped}");
        assert_eq!(restored.note(0), "", "it knows nothing any more");
    }
    for foreign in ["2 main-a5b5", "x", "2  ", " "] {
        assert!(fence.restore(0, foreign).is_err(), "{foreign}");
    }
}

#[test]
fn a_writer_decides_only_after_its_election_is_read_back_everywhere() {
    let mut lab = Lab::new();
    let process = lab.start(0);
    let refused = lab.call(process, |machine, outbox| machine.declare(&declaration("A", 1), outbox));
    assert_eq!(refused, Err(DeclareError::NotOpen));
    for p in 0..3 {
        assert_eq!(lab.processes[process].stage, Stage::Electing);
        lab.flush(process, p, 1);
        lab.follow(process, p, 1);
    }
    assert_eq!(lab.processes[process].stage, Stage::Active);
    assert_eq!(lab.processes[process].machine.writer(), Some(&writer(1, "writer-1")));
}

#[test]
fn a_writer_that_sees_a_newer_one_stops_and_does_no_harm() {
    let mut lab = Lab::new();
    let old = lab.start(0);
    lab.settle(old);
    lab.call(old, |machine, outbox| machine.declare(&declaration("A", 1), outbox)).unwrap();
    lab.settle(old);
    let new = lab.start(0);
    lab.settle(new);
    assert_eq!(lab.processes[new].machine.writer(), Some(&writer(2, "writer-2")));

    // The old one has not heard of it, and sells the last unit once more than the new one does.
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.input(Topic::UserEvents, "2", validated(&lab, 2, &[("A", 1)]));
    let lanes: Vec<_> = lab.inputs.keys().copied().collect();
    for process in [old, new] {
        for &lane in lanes.iter().chain(&lanes) {
            lab.handle(process, lane);
        }
        for p in 0..3 {
            lab.flush(process, p, usize::MAX);
        }
    }
    lab.books().check();
    assert_eq!(lab.books().reserved("A"), 1);
    for p in 0..3 {
        lab.follow(old, p, usize::MAX / 2);
    }
    let halted = lab.processes[old].machine.halted();
    assert_eq!(halted, Some(Halt::Fenced(writer(2, "writer-2"))));
    assert_eq!(lab.processes[old].machine.next_tick(), None);
}

#[test]
fn what_a_fenced_writer_frees_does_not_count_though_it_is_acknowledged() {
    let mut lab = Lab::new();
    let old = lab.start(0);
    lab.settle(old);
    lab.call(old, |machine, outbox| machine.declare(&declaration("A", 1), outbox)).unwrap();
    lab.input(Topic::UserEvents, "1", validated(&lab, 1, &[("A", 1)]));
    lab.settle(old);
    let new = lab.start(0);
    for p in 0..3 {
        lab.flush(new, p, usize::MAX);
    }
    // The release is in the log, but above the election: the unit must not be sold again.
    lab.input(Topic::OrderEvents, "1 cancelled", OrderCancelRequested { order: order(1) });
    lab.input(Topic::UserEvents, "2", validated(&lab, 2, &[("A", 1)]));
    let lanes: Vec<_> = lab.inputs.keys().copied().collect();
    for lane in lanes {
        for _ in 0..2 {
            lab.handle(old, lane);
        }
    }
    for p in 0..3 {
        lab.flush(old, p, usize::MAX);
    }
    lab.tick(old);
    for p in 0..3 {
        lab.flush(old, p, usize::MAX);
    }
    assert_eq!(lab.books().reserved("A"), 1);
    assert!(lab.books().active(order(1)).is_some());
    lab.settle(new);
    assert_eq!(lab.books().reserved("A"), 1);
    assert!(lab.books().active(order(2)).is_some());
}

#[test]
fn a_newer_election_on_the_way_makes_a_candidate_stand_again() {
    let mut lab = Lab::new();
    let first = lab.start(0);
    let second = lab.start(0);
    assert_eq!(lab.processes[first].machine.writer().map(|writer| writer.term), Some(1));
    // Both stand for term 1; the second one's name is the greater one.
    lab.settle(second);
    lab.settle(first);
    assert_eq!(lab.processes[first].stage, Stage::Active);
    assert_eq!(lab.processes[first].machine.writer(), Some(&writer(2, "writer-1")));
    lab.settle(second);
    assert_eq!(lab.processes[second].stage, Stage::Halted);
}
