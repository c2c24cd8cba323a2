//! A machine that shares its work.

use super::*;
use crate::machine::Follows;
use crate::ports::LogError;
use crate::testkit::order;

fn carried(machine: Toy) -> Carrier {
    let mut carrier = Carrier::new(machine, Limits::default());
    carrier.begin();
    carrier
}

fn assigned(machine: Toy) -> Carrier {
    let mut carrier = carried(machine);
    carrier.assign(Vec::new());
    carrier
}

#[test]
fn it_folds_its_own_records_before_it_takes_anything_in() {
    let mut carrier = carried(Toy::default());
    assert!(!carrier.driver.status().ready);
    carrier.input(&inputs(0, 0..3));
    carrier.assign(Vec::new());
    let scanned = carrier.opened.iter().filter(|(reader, _)| *reader == Reader::Scan).count();
    assert_eq!((scanned, carrier.driver.machine().folded), (1, 3), "its three answers");
    assert_eq!(carrier.driver.machine().recovered, [(0, 3)]);
    assert!(carrier.driver.status().ready);
}

#[test]
fn it_folds_no_more_of_its_own_records_than_it_looks_back_to() {
    let mut carrier = carried(Toy { looks_back: Some(2), ..Toy::default() });
    carrier.input(&inputs(0, 0..5));
    carrier.assign(Vec::new());
    let scans = carrier.opened.iter().filter(|(reader, _)| *reader == Reader::Scan);
    let from: Vec<u64> = scans.flat_map(|(_, from)| from).map(|at| at.offset).collect();
    assert_eq!((from, carrier.driver.machine().folded), (vec![3], 2), "of five answers");
    assert_eq!(carrier.driver.machine().recovered, [(0, 2)]);
    assert!(carrier.driver.status().ready);
}

#[test]
fn what_it_follows_it_follows_from_where_it_looks_back_to() {
    for (looks_back, followed) in [(None, 5), (Some(2), 2), (Some(9), 5)] {
        let mut carrier =
            Carrier::new(Toy { follows: Follows::Newest, looks_back, ..Toy::default() }, Limits::default());
        for n in 0..5 {
            carrier.write(&foreign(&n.to_string(), toy::answer(order(n))));
        }
        carrier.begin();
        assert_eq!(carrier.driver.machine().followed, followed, "{looks_back:?}");
    }
}

#[test]
fn what_is_folded_of_a_partition_is_folded_at_the_time_that_it_is_then() {
    let mut carrier = carried(Toy::default());
    carrier.input(&inputs(0, 0..1));
    carrier.step(Event::Assigned(vec![Assignment::default()]));
    carrier.step(Event::Flush);
    carrier.clock.now.store(600_000, Ordering::Relaxed);
    carrier.settle_in();
    assert_eq!(carrier.driver.machine().folded_at, [at(600_000)]);
}

#[test]
fn effects_start_and_offsets_are_committed_only_once_the_batch_is_durable() {
    let mut carrier = assigned(Toy::default());
    carrier.holds_appends = true;
    carrier.input(&inputs(0, 0..2));
    assert_eq!((carrier.held.len(), carrier.committed.len()), (1, 0));
    assert_eq!(carrier.wants(), Wants::default(), "nothing may be handed over meanwhile");
    carrier.land();
    assert_eq!(carrier.committed, [commit(2)]);
}

#[test]
fn a_commit_goes_no_further_than_what_is_answered() {
    let mut carrier = assigned(Toy { with_effect: true, ..Toy::default() });
    carrier.input(&inputs(0, 0..3));
    assert_eq!(orders(&carrier.started), [order(0), order(1), order(2)]);
    assert_eq!(carrier.committed, []);
    carrier.ends_effect();
    assert_eq!(carrier.committed, [commit(1)]);
    carrier.ends_effect();
    carrier.ends_effect();
    assert_eq!(carrier.committed.last(), Some(&commit(3)));
}

#[test]
fn a_charge_whose_reservation_ended_before_its_turn_does_not_start() {
    let machine = Toy { with_effect: true, charges_until: Some(at(1_000)), ..Toy::default() };
    let mut carrier = Carrier::new(machine, Limits { places: 1, ..Limits::default() });
    carrier.begin();
    carrier.assign(Vec::new());
    carrier.input(&inputs(0, 0..3));
    assert_eq!(orders(&carrier.started), [order(0)], "one at a time");
    carrier.clock.now.store(999, Ordering::Relaxed);
    carrier.ends_effect();
    assert_eq!(orders(&carrier.started), [order(1)], "in time");
    carrier.clock.now.store(1_000, Ordering::Relaxed);
    carrier.ends_effect();
    assert_eq!(orders(&carrier.started), [], "the third one's reservation is over");
    assert_eq!(carrier.driver.machine().outcomes.last(), Some(&PaymentOutcome::Overdue.into()));
    assert_eq!(carrier.committed.last(), Some(&commit(3)), "and it is answered");
}

#[test]
fn a_commit_that_fails_is_tried_again_after_the_next_batch() {
    let mut carrier = assigned(Toy::default());
    carrier.driver.step(Event::Records(Reader::Input, &inputs(0, 0..1), &[]));
    carrier.driver.step(Event::Flush);
    while let Some(command) = carrier.driver.next_command() {
        match command {
            Command::Commit(_) => {
                carrier.driver.step(Event::Committed(Err(LogError::Unavailable(String::new()))));
            }
            other => carrier.obey(other),
        }
    }
    assert_eq!(carrier.committed, []);
    carrier.input(&inputs(1, 1..2));
    assert_eq!(carrier.committed, [commit(2)]);
}

#[test]
fn a_partition_that_is_lost_in_the_middle_of_a_batch_is_forgotten_after_it() {
    let mut carrier = assigned(Toy { with_effect: true, ..Toy::default() });
    carrier.step(Event::Records(Reader::Input, &inputs(0, 0..1), &[]));
    carrier.step(Event::Revoked(vec![0]));
    assert!(carrier.driver.machine().partitions.contains(&0));
    assert_eq!(carrier.wants().input, None, "nothing more before it is heeded");
    carrier.step(Event::Flush);
    assert!(carrier.driver.machine().partitions.is_empty());
    assert_eq!(carrier.driver.positions(), []);
}

#[test]
fn as_many_effects_are_under_way_as_there_are_places() {
    let limits = Limits { places: 2, ..Limits::default() };
    let mut carrier = Carrier::new(Toy { with_effect: true, ..Toy::default() }, limits);
    carrier.begin();
    carrier.assign(Vec::new());
    carrier.input(&inputs(0, 0..5));
    assert_eq!(orders(&carrier.started), [order(0), order(1)]);
    carrier.ends_effect();
    assert_eq!(orders(&carrier.started), [order(1), order(2)]);
    carrier.step(Event::Revoked(vec![0, 1, 2]));
    carrier.step(Event::Flush);
    carrier.ends_effect();
    assert_eq!(carrier.started.len(), 1, "another process sees to the others");
}

#[test]
fn a_machine_that_has_enough_in_hand_takes_in_no_more() {
    let limits = Limits { in_hand: 2, ..Limits::default() };
    let mut carrier = Carrier::new(Toy { with_effect: true, ..Toy::default() }, limits);
    carrier.begin();
    carrier.assign(Vec::new());
    assert_eq!(carrier.wants().input, Some(limits.records));
    carrier.input(&inputs(0, 0..2));
    assert_eq!(carrier.wants().input, Some(0), "only what is assigned and revoked");
    carrier.ends_effect();
    assert_eq!(carrier.wants().input, Some(limits.records));
}

#[test]
fn a_machine_that_has_enough_in_hand_still_recovers_what_it_is_assigned() {
    let limits = Limits { in_hand: 1, ..Limits::default() };
    let machine = Toy { with_effect: true, follows: Follows::Newest, ..Toy::default() };
    let mut carrier = Carrier::new(machine, limits);
    carrier.begin();
    carrier.assign(Vec::new());
    carrier.input(&inputs(0, 0..1));
    carrier.ends_effect();
    carrier.input(&inputs(1, 1..2));
    assert_eq!(carrier.wants().input, Some(0), "it has enough");
    carrier.assign(Vec::new());
    assert!(carrier.driver.is_at_work() && carrier.wants().outcomes);
    assert_eq!(carrier.driver.machine().folded, 1, "its answer");
}

#[test]
fn a_machine_that_has_enough_in_hand_while_it_reads_again_ticks() {
    let limits = Limits { in_hand: 1, ..Limits::default() };
    let machine =
        Toy { with_effect: true, follows: Follows::Newest, ticks: true, gap: Some(0..2), ..Toy::default() };
    let mut carrier = Carrier::new(machine, limits);
    carrier.begin();
    carrier.step(Event::Assigned(vec![Assignment { committed: vec![commit(2)], ..Assignment::default() }]));
    carrier.write(&foreign("input/0", toy::input(0)));
    carrier.write(&foreign("input/1", toy::input(1)));
    carrier.step(Event::Flush);
    assert!(carrier.wants().scan);
    carrier.step(Event::Records(Reader::Scan, &inputs(0, 0..1), &[commit(1).next]));
    assert!(!carrier.wants().scan && carrier.wants().output && carrier.wants().wake.is_some());
    carrier.step(Event::Flush);
    assert!(carrier.wants().scan, "what it had in hand is answered");
    carrier.step(Event::Records(Reader::Scan, &inputs(1, 1..2), &[commit(2).next]));
    assert!(carrier.driver.is_at_work());
}

#[test]
fn what_was_committed_and_is_not_answered_is_read_again() {
    let mut carrier = carried(Toy { gap: Some(1..3), ..Toy::default() });
    for n in 0..5 {
        carrier.write(&foreign(&format!("input/{n}"), toy::input(n)));
    }
    carrier.assign(vec![commit(4)]);
    assert_eq!(carrier.driver.machine().handled, [order(1), order(2)]);
    assert_eq!(carrier.driver.positions().iter().map(|at| at.offset).max(), Some(4));
}

#[test]
fn what_the_log_refuses_for_its_size_is_shortened_and_where_that_cannot_be_it_ends() {
    let shorter = foreign("shorter", crate::testkit::created(7));
    for (shorter, ends) in [(Some(shorter), false), (None, true)] {
        let mut carrier = assigned(Toy { shorter, ..Toy::default() });
        carrier.holds_appends = true;
        carrier.input(&inputs(0, 0..1));
        let sent = carrier.held.pop_front().unwrap();
        carrier.step(Event::TooLarge(LogError::TooLarge(String::new())));
        assert_eq!(carrier.finished.is_some(), ends);
        assert_eq!(
            carrier.held.pop_front().is_some_and(|again| again[0].message.id != sent[0].message.id),
            !ends
        );
    }
}

#[test]
fn nothing_is_decided_while_the_clock_is_off_and_what_came_in_comes_first_then() {
    let mut carrier = assigned(Toy { by_time: true, ..Toy::default() });
    carrier.clock.off.store(3_600_000, Ordering::Relaxed);
    carrier.input(&inputs(0, 0..1));
    assert_eq!(carrier.driver.machine().handled, []);
    let wants = carrier.wants();
    assert_eq!((wants.input, wants.calls, wants.outcomes), (Some(0), 0, false));
    assert!(!carrier.driver.status().ready);
    carrier.clock.off.store(0, Ordering::Relaxed);
    carrier.input(&inputs(1, 1..2));
    assert_eq!(carrier.driver.machine().handled, [order(0), order(1)]);
    assert!(carrier.driver.status().ready);
}

#[test]
fn a_stop_waits_for_what_is_under_way_and_hands_over() {
    let mut carrier = assigned(Toy { with_effect: true, ..Toy::default() });
    carrier.input(&inputs(0, 0..2));
    carrier.step(Event::Stop);
    assert!(!carrier.left && carrier.wants().outcomes);
    carrier.ends_effect();
    assert!(!carrier.left);
    carrier.ends_effect();
    assert_eq!(carrier.committed.last(), Some(&commit(2)), "it is answered");
    assert!(carrier.left && matches!(carrier.finished, Some(Ok(()))));
}

#[test]
fn a_stop_waits_no_longer_than_its_deadline() {
    let mut carrier = assigned(Toy { with_effect: true, ..Toy::default() });
    carrier.input(&inputs(0, 0..1));
    carrier.step(Event::Stop);
    carrier.clock.now.store(3_000, Ordering::Relaxed);
    carrier.step(Event::Flush);
    assert!(carrier.left && carrier.committed.is_empty(), "whoever comes next begins anew");
}

#[test]
fn a_machine_that_drains_takes_in_what_is_there_before_it_stops() {
    let mut carrier = assigned(Toy { drains: true, ..Toy::default() });
    carrier.step(Event::Stop);
    assert!(carrier.wants().input.is_some_and(|most| most > 0));
    carrier.input(&inputs(0, 0..2));
    assert!(!carrier.left);
    carrier.input(&[]);
    assert_eq!(carrier.committed.last(), Some(&commit(2)));
    assert!(carrier.left);
}

#[test]
fn a_batch_that_is_given_up_commits_nothing_and_the_partitions_are_handed_over() {
    let mut carrier = assigned(Toy::default());
    carrier.holds_appends = true;
    carrier.input(&inputs(0, 0..1));
    carrier.step(Event::Stop);
    assert!(!carrier.left, "it may still become durable");
    carrier.step(Event::GivenUp);
    assert!(carrier.left);
    assert_eq!(carrier.committed.len(), 0, "whoever comes next finds out what is there");
}
