//! The snapshots that a process begins with, and those of a member.

use super::*;
use crate::machine::Follows;
use crate::ports::Mark;
use crate::testkit::order;

fn follower() -> Carrier {
    let machine = Toy { images: true, follows: Follows::Everything, ..Toy::default() };
    Carrier::new(machine, Limits::default())
}

fn newest(carrier: &Carrier) -> Option<u64> {
    carrier.snapshots.iter().flat_map(|kept| &kept.folded).map(|mark| mark.at.offset).max()
}

/// A log with five records, all of which a member has followed, and its snapshot of that.
fn kept() -> Carrier {
    let mut carrier = follower();
    for n in 0..5 {
        carrier.write(&foreign(&n.to_string(), toy::answer(order(n))));
    }
    carrier.begin();
    (0..2).for_each(|_| carrier.step(Event::Flush));
    assert_eq!(newest(&carrier), Some(4), "the last one that it has read");
    carrier
}

/// Another process, with the log and the snapshots of the one before.
fn after(before: Carrier) -> Carrier {
    Carrier { log: before.log, snapshots: before.snapshots, ..follower() }
}

#[test]
fn it_follows_only_what_lies_behind_its_snapshot() {
    let mut carrier = after(kept());
    carrier.write(&foreign("5", toy::answer(order(5))));
    carrier.begin();
    assert!(carrier.driver.is_at_work());
    let machine = carrier.driver.machine();
    assert_eq!((machine.restored, machine.followed), (true, 1));
    let from: Vec<u64> = carrier.opened[0].1.iter().map(|at| at.offset).collect();
    assert_eq!(from.iter().max(), Some(&4));
    assert!(from.iter().filter(|offset| **offset > 0).count() == 1, "the others are empty: {from:?}");
}

#[test]
fn what_it_wrote_is_read_back_before_its_snapshot_is_kept() {
    let mut carrier = kept();
    carrier.assign(Vec::new());
    carrier.write(&foreign("5", toy::answer(order(5))));
    carrier.read(Reader::Output);
    carrier.input(&inputs(0, 0..1));
    (0..3).for_each(|_| carrier.step(Event::Flush));
    assert_eq!(newest(&carrier), Some(4), "it knows its own answer, which may not be in the log");
    carrier.read(Reader::Output);
    carrier.step(Event::Flush);
    assert_eq!(newest(&carrier), Some(5), "up to there it had read when it was taken");
}

#[test]
fn a_snapshot_of_another_log_is_refused() {
    let mut carrier = after(kept());
    carrier.log.clear();
    for n in 10..16 {
        carrier.write(&foreign(&n.to_string(), toy::answer(order(n))));
    }
    carrier.begin();
    let machine = carrier.driver.machine();
    assert_eq!((machine.restored, machine.followed), (false, 6));
}

#[test]
fn a_snapshot_is_refused_where_the_log_was_cut_behind_it() {
    for (first, restored) in [(4, true), (5, false)] {
        let mut carrier = after(kept());
        let topic = Topic::NotificationEvents;
        carrier.write(&foreign("5", toy::answer(order(5))));
        carrier.first.insert((topic, 0), first);
        carrier.begin();
        assert_eq!(carrier.driver.machine().restored, restored, "it needs the record at 4");
        let last = carrier.opened.iter().rev().find(|(reader, _)| *reader == Reader::Output).unwrap();
        assert_eq!(last.1.iter().all(|at| at.offset == 0), !restored, "else it wants all of the log");
    }
}

#[test]
fn a_snapshot_is_refused_where_an_input_was_cut_that_it_has_not_answered() {
    for (first, restored) in [(3, true), (4, false)] {
        let mut carrier = after(kept());
        let waits = Position { topic: Topic::OrderEvents, partition: 0, offset: 3 };
        carrier.snapshots.iter_mut().for_each(|snapshot| snapshot.inputs = vec![waits]);
        let records = carrier.log[&(Topic::NotificationEvents, 0)].clone();
        carrier.log.insert((waits.topic, waits.partition), records);
        carrier.first.insert((waits.topic, waits.partition), first);
        carrier.begin();
        assert_eq!(carrier.driver.machine().restored, restored, "it needs the record at 3");
    }
}

#[test]
fn a_snapshot_is_refused_where_the_log_ends_before_it() {
    let mut carrier = after(kept());
    carrier.log.values_mut().for_each(|records| records.truncate(3));
    carrier.begin();
    assert!(carrier.driver.is_at_work(), "records of notification-events expire");
    let machine = carrier.driver.machine();
    assert_eq!((machine.restored, machine.followed), (false, 3));
}

#[test]
fn an_event_store_that_ends_before_a_snapshot_has_lost_records() {
    let writer = || Carrier::new(Toy { sole: true, images: true, ..Toy::default() }, Limits::default());
    let mut before = writer();
    before.begin();
    before.call("caller", Toy::refuse);
    before.read(Reader::Output);
    (0..2).for_each(|_| before.step(Event::Flush));
    // A writer has written to each partition; this one knows only of one.
    let Some(mut snapshot) = before.snapshots.pop() else { panic!("no snapshot") };
    let mark = snapshot.folded[0];
    let partitions = 0..mark.at.topic.partitions();
    snapshot.folded = partitions
        .map(|partition| Mark { at: Position { partition, offset: 7, ..mark.at }, ..mark })
        .collect();
    let mut carrier = Carrier { log: before.log, snapshots: vec![snapshot], ..writer() };
    carrier.begin();
    assert!(!carrier.driver.is_at_work());
    assert_eq!(carrier.contradicted, [(mark.at.topic, Fault::Short { partition: 0, wanted: 8, found: 2 })]);
}
