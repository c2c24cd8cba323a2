use kbnt_application::intact::{Bounds, Fault, TopicId, TopicIds};
use kbnt_application::ports::{EventLog as _, Fetched, RawRecord, Unreadable};
use kbnt_application::{Append, Delivered, Position, Topic};
use kbnt_embedded::{EmbeddedLog, Proof, Recovery, Short};
use kbnt_testkit::created;

use super::Cuts;
use super::report::Report;
use super::survey::Survey;

const ORDERS: Topic = Topic::OrderEvents;

const fn at(topic: Topic, offset: u64) -> Position {
    Position { topic, partition: 0, offset }
}

/// A record that says that it answers another one.
fn answer(at: Position, source: Option<Position>) -> Fetched {
    let Append { message, .. } = created(0);
    Fetched::Record(Delivered { at, message, source, raw: None })
}

/// A survey of a log with these bounds of partition 0, in which these records lie.
fn surveyed(bounds: &[(Topic, u64, u64)], records: &[Fetched]) -> Report {
    let mut survey = Survey::default();
    for (topic, first, end) in bounds {
        survey.partitions.entry((*topic, 0)).or_default().open(Bounds { first: *first, end: *end });
    }
    for record in records {
        survey.take(record);
    }
    survey.report(&TopicIds::default(), &Cuts::new())
}

fn faults(report: &Report) -> Vec<(Topic, Fault)> {
    report.damage.iter().map(|damage| (damage.topic, damage.fault)).collect()
}

#[tokio::test]
async fn a_whole_log_is_whole() {
    let log = EmbeddedLog::in_memory();
    log.append((0..2_500).map(created).collect()).await.unwrap();
    let report = Survey::of(&log).await.unwrap().report(&TopicIds::default(), &Cuts::new());
    assert_eq!((faults(&report), report.code(), report.records()), (vec![], 0, 2_500));
    assert_eq!(report.notes, Vec::<String>::new());
}

#[tokio::test]
async fn an_event_store_without_its_beginning_is_cut() {
    let log = EmbeddedLog::window(10);
    for n in 0..40 {
        log.append(vec![created(n)]).await.unwrap();
    }
    let report = Survey::of(&log).await.unwrap().report(&TopicIds::default(), &Cuts::new());
    assert!(!report.damage.is_empty());
    assert!(report.damage.iter().all(|damage| damage.topic == ORDERS && damage.fault.kind() == "cut"));
    assert_eq!((report.code(), report.records()), (3, 10));
}

#[test]
fn an_event_store_may_be_cut_where_checkpoints_stand_for_what_is_gone() {
    let report = |first, cut| {
        let mut survey = Survey::default();
        survey.partitions.entry((ORDERS, 0)).or_default().open(Bounds { first, end: 90 });
        survey.report(&TopicIds::default(), &[((ORDERS, 0), cut)].into())
    };
    let whole = report(58, 58);
    assert_eq!((faults(&whole), whole.code()), (vec![], 0));
    assert_eq!(
        whole.notes,
        ["order-events/0 begins at offset 58: checkpoints stand for the records before it"]
    );
    let cut = Fault::Cut { partition: 0, wanted: 0, found: 58 };
    assert_eq!(faults(&report(58, 57)), [(ORDERS, cut)], "it was cut further meanwhile");
}

#[test]
fn records_that_expire_are_noted() {
    let report = surveyed(&[(Topic::AuditLogs, 7, 9)], &[]);
    assert_eq!((faults(&report), report.code()), (vec![], 0));
    assert!(report.notes[0].contains("audit-logs/0 begins at offset 7"), "{:?}", report.notes);
}

#[test]
fn answers_to_records_that_are_not_there_show_that_the_end_is_gone() {
    let bounds = [(ORDERS, 0, 5), (Topic::UserEvents, 0, 3)];
    let answers = |sources: &[u64]| -> Vec<Fetched> {
        let answer = |(n, source): (u64, &u64)| answer(at(Topic::UserEvents, n), Some(at(ORDERS, *source)));
        (0..).zip(sources).map(answer).collect()
    };
    let none = surveyed(&bounds, &answers(&[2, 3, 4]));
    assert_eq!((faults(&none), none.notes.len()), (vec![], 0));
    let one = surveyed(&bounds, &answers(&[2, 3, 9]));
    assert_eq!(faults(&one), [], "anybody may write one");
    assert!(
        one.notes[0].contains("user-events/0@2 says that it answers order-events/0@9"),
        "{:?}",
        one.notes
    );
    let two = surveyed(&bounds, &answers(&[5, 3, u64::MAX]));
    let short = Fault::Short { partition: 0, wanted: 6, found: 5 };
    assert_eq!((faults(&two), two.code()), (vec![(ORDERS, short)], 3), "as far as two of them say");
}

#[test]
fn what_came_later_and_what_is_missing_in_between_is_told_apart() {
    let records =
        [0, 1, 4, 5, 6].map(|offset| answer(at(ORDERS, offset), Some(at(Topic::UserEvents, offset + 100))));
    let report = surveyed(&[(ORDERS, 0, 5), (Topic::UserEvents, 0, 200)], &records);
    assert_eq!((report.records(), faults(&report)), (3, vec![]));
    assert!(report.notes[0].contains("order-events/0 has 2 offsets without a record"), "{:?}", report.notes);
}

#[test]
fn many_false_names_push_no_true_ones_out_of_memory_and_take_no_room() {
    let bounds = [(ORDERS, 0, 5), (Topic::UserEvents, 0, 10_000)];
    let records: Vec<Fetched> =
        (0..10_000).map(|n| answer(at(Topic::UserEvents, n), Some(at(ORDERS, 4 + n % 2)))).collect();
    let short = Fault::Short { partition: 0, wanted: 6, found: 5 };
    assert_eq!(faults(&surveyed(&bounds, &records)), [(ORDERS, short)]);
}

#[test]
fn records_that_nobody_understands_are_counted() {
    let raw = std::sync::Arc::new(RawRecord::default());
    let poison = Fetched::Unreadable(Unreadable { at: at(ORDERS, 0), reason: String::new(), raw });
    let report = surveyed(&[(ORDERS, 0, 1)], &[poison]);
    assert_eq!(report.to_json()["partitions"][0]["unreadable"], 1);
    assert!(report.table().to_string().contains("order-events"));
}

#[test]
fn another_topic_of_the_same_name_is_named_with_both_ids() {
    let id = |byte| TopicId::from_bytes([byte; 16]);
    let mut survey = Survey::default();
    survey.ids.extend([(ORDERS, id(1)), (Topic::UserEvents, id(2))]);
    let given = [(ORDERS, id(3)), (Topic::UserEvents, id(2))].into_iter().collect();
    let report = survey.report(&given, &Cuts::new());
    assert_eq!(faults(&report), [(ORDERS, Fault::Replaced { known: id(3), found: id(1) })]);
    let json = report.to_json();
    assert_eq!(json["damage"][0]["knownTopicId"], id(3).to_string());
    assert_eq!((&json["damage"][0]["kind"], &json["intact"]), (&"replaced".into(), &false.into()));
}

#[test]
fn a_directory_tells_by_its_files_how_far_it_went() {
    let with = |files: Recovery| {
        let mut report = surveyed(&[(ORDERS, 0, 5)], &[]);
        report.add_files(&files);
        report
    };
    let proven = Recovery { proof: Proof::Given, records: 5, ..Recovery::default() };
    assert_eq!(with(proven.clone()).code(), 0);
    let unproven = with(Recovery { proof: Proof::Missing, ..proven.clone() });
    assert_eq!((unproven.code(), unproven.to_json()["endProven"].clone()), (4, false.into()));
    let short = with(Recovery { short: vec![Short { end: at(ORDERS, 5), wanted: 8 }], ..proven });
    assert_eq!(faults(&short), [(ORDERS, Fault::Short { partition: 0, wanted: 8, found: 5 })]);
    assert_eq!(short.code(), 3);
}
