//! The only writer.

use super::*;
use crate::ports::LogError;

fn carrier() -> Carrier {
    Carrier::new(Toy { sole: true, ..Toy::default() }, Limits::default())
}

fn at_work() -> Carrier {
    let mut carrier = carrier();
    carrier.begin();
    assert!(carrier.driver.is_at_work());
    carrier
}

#[test]
fn it_folds_everything_opens_its_inputs_and_only_then_is_elected() {
    let mut carrier = carrier();
    carrier.write(&election(3, "before"));
    carrier.holds_appends = true;
    carrier.begin();
    assert!(carrier.opened.iter().any(|(reader, _)| *reader == Reader::Input));
    assert_eq!((carrier.driver.machine().folded, carrier.driver.machine().term), (1, 4));
    assert!(!carrier.driver.status().ready);
    carrier.land();
    carrier.settle_in();
    assert!(carrier.driver.status().ready);
}

#[test]
fn what_is_folded_at_the_start_is_folded_at_the_time_that_it_is_then() {
    let mut carrier = carrier();
    carrier.write(&election(3, "before"));
    carrier.holds_appends = true;
    carrier.step(Event::Begin);
    carrier.clock.now.store(600_000, Ordering::Relaxed);
    carrier.settle_in();
    assert_eq!(carrier.driver.machine().folded_at, [at(600_000)]);
    carrier.clock.now.store(1_200_000, Ordering::Relaxed);
    carrier.land();
    carrier.settle_in();
    assert_eq!(carrier.driver.machine().folded_at, [at(600_000), at(1_200_000)]);
}

#[test]
fn a_newer_election_that_is_met_on_the_way_means_another_one() {
    let mut carrier = carrier();
    carrier.holds_appends = true;
    carrier.begin();
    carrier.write(&election(7, "other"));
    carrier.land();
    carrier.settle_in();
    assert!(!carrier.driver.is_at_work());
    assert_eq!(carrier.driver.machine().term, 8);
    carrier.land();
    carrier.settle_in();
    assert!(carrier.driver.is_at_work());
}

#[test]
fn callers_are_answered_once_their_records_are_read_back() {
    let mut carrier = at_work();
    carrier.call("caller", Toy::refuse);
    assert_eq!(carrier.answered, [""; 0], "durable is not enough: it may lie above a newer election");
    carrier.read(Reader::Output);
    assert_eq!(carrier.answered, ["caller"]);
}

#[test]
fn a_newer_writer_ends_it_and_whoever_waits_is_refused() {
    let mut carrier = at_work();
    carrier.call("caller", Toy::refuse);
    carrier.write(&election(9, "other"));
    carrier.read(Reader::Output);
    assert!(matches!(carrier.finished, Some(Err(Failure::Fenced(_)))));
    assert_eq!((carrier.answered.len(), carrier.refused.as_slice()), (0, &["caller"][..]));
}

#[test]
fn a_log_that_refuses_for_good_ends_it() {
    let mut carrier = at_work();
    carrier.step(Event::Failed(LogError::Refused(String::new())));
    assert!(matches!(carrier.finished, Some(Err(Failure::Log(_)))));
    assert_eq!(carrier.wants(), Wants::default());
}

#[test]
fn it_commits_nothing() {
    let mut carrier = at_work();
    let record = crate::testkit::record(0, at(0), toy::asked(1));
    carrier.input(&[Fetched::Record(record)]);
    assert_eq!(carrier.driver.machine().handled.len(), 1);
    assert_eq!(carrier.committed, []);
}

#[test]
fn a_stop_before_its_turn_is_the_end() {
    let mut carrier = carrier();
    carrier.holds_appends = true;
    carrier.begin();
    carrier.step(Event::Stop);
    carrier.land();
    assert!(matches!(carrier.finished, Some(Ok(()))));
}

#[test]
fn a_snapshot_is_kept_once_its_records_are_read_back() {
    let mut carrier = Carrier::new(Toy { sole: true, images: true, ..Toy::default() }, Limits::default());
    carrier.begin();
    let work = |carrier: &mut Carrier| (0..4).for_each(|_| carrier.call("caller", Toy::refuse));
    let newest = |carrier: &Carrier| {
        carrier.snapshots.iter().flat_map(|kept| &kept.folded).map(|mark| mark.at.offset).max()
    };
    work(&mut carrier);
    assert_eq!(newest(&carrier), Some(0), "only of its election: what it wrote may lie above a newer one");
    carrier.read(Reader::Output);
    work(&mut carrier);
    assert!(newest(&carrier) > Some(0));
}
