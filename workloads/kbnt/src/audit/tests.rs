use kbnt_application::audit::{AuditMachine, content_hash, vouched_hash};
use kbnt_application::event::{AuditLogCreated, DeadLetterResolved, RecordedEvent, Resolution};
use kbnt_application::ports::{RawRecord, Unreadable};
use kbnt_application::{Auditor as _, Machine as _, Outbox, Position, Service, Topic};
use kbnt_domain::audit::{Head, Link as _, sha256};
use kbnt_domain::event::OrderCancelRequested;
use kbnt_domain::{EventId, OrderId, Span, Timestamp};
use kbnt_embedded::{Proof, Recovery, Short};
use kbnt_wire as wire;

use super::trail::Trail;
use super::verdict::{Kind, Retention, Rules, Verdict};
use crate::log::Cuts;
use crate::origin::Seen;

/// When the records of these tests were written.
const WRITTEN: i64 = 1_790_000_000_000;

const DAY: u64 = 24 * 3_600_000;

/// Three audited records, and the three links about them, one after the other.
fn records() -> Vec<Seen> {
    records_of(Topic::OrderEvents)
}

/// A record of which all was read.
fn seen(at: Position, record: RawRecord) -> Seen {
    let bytes = Some(record.hash());
    Seen { bytes, ..Seen::new(at, record.value.unwrap()) }
}

/// The same records in another topic.
fn records_of(topic: Topic) -> Vec<Seen> {
    let mut records = Vec::new();
    let mut head = Head::default();
    for offset in 0..3 {
        let order = OrderId::derive(&"USER-1".parse().unwrap(), &offset.to_string());
        let mut outbox = Outbox::new(Service::Order, Timestamp::from_millis(WRITTEN));
        outbox.emit_named(&format!("cancel {offset}"), OrderCancelRequested { order });
        let audited = outbox.take().0.remove(0);
        let bytes = wire::encode(&audited).unwrap().hash();
        let mut link = AuditLogCreated {
            sequence: head.length,
            audited: audited.message.id,
            event_name: "OrderCancelRequestedCommand".into(),
            subject: order.to_string(),
            location: (topic.name().into(), 1, offset),
            content_hash: vouched_hash(&content_hash(&audited.message), Some(&bytes)),
            record_hash: Some(bytes),
            previous_hash: head.hash,
            hash: [0; 32],
        };
        let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(WRITTEN + 1));
        link.hash = link.hash_at(outbox.now());
        head = Head::after(&link);
        outbox.emit_named(&format!("link {offset}"), link);
        let link = outbox.take().0.remove(0);
        for (topic, partition, append) in [(topic, 1, &audited), (Topic::AuditLogs, 0, &link)] {
            records.push(seen(Position { topic, partition, offset }, wire::encode(append).unwrap()));
        }
    }
    records
}

/// The rules of a log that keeps everything.
fn embedded() -> Rules {
    Rules { cuts: Cuts::new(), retention: None, passes_all: true, now: Timestamp::from_millis(WRITTEN) }
}

/// The rules of Kafka, this many days after the records were written.
fn kafka(days: i64) -> Rules {
    let retention =
        Retention { links: Span::from_millis(365 * DAY), notifications: Span::from_millis(7 * DAY) };
    let now = Timestamp::from_millis(WRITTEN + days * 24 * 3_600_000 + 3_600_000);
    Rules { cuts: Cuts::new(), retention: Some(retention), passes_all: true, now }
}

fn judged(records: &[Seen], rules: &Rules) -> Verdict {
    let mut trail = Trail::default();
    for seen in records {
        trail.take(seen);
    }
    trail.catch_up();
    trail.judge(rules, None)
}

fn kinds(records: &[Seen], rules: &Rules) -> Vec<Kind> {
    judged(records, rules).findings.into_iter().map(|finding| finding.kind).collect()
}

/// The findings, all of which must be alterations.
fn problems(records: &[Seen]) -> Vec<String> {
    let findings = judged(records, &kafka(0)).findings;
    findings.into_iter().filter(|finding| finding.kind == Kind::Altered).map(|finding| finding.text).collect()
}

/// The text of the findings, all of which must be of this kind.
fn only(records: &[Seen], rules: &Rules, kind: Kind) -> String {
    let verdict = judged(records, rules);
    assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
    assert_eq!((verdict.findings[0].kind, verdict.code()), (kind, kind.code()), "{:?}", verdict.findings);
    verdict.findings[0].text.clone()
}

/// Replaces one text of `record`.
fn altered(record: &mut Seen, from: &str, to: &str) {
    let text = String::from_utf8(record.value.clone()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    record.value = text.replace(from, to).into_bytes();
}

#[test]
fn a_whole_trail_is_whole_also_where_retention_took_its_beginning() {
    for rules in [embedded(), kafka(0), kafka(900)] {
        assert_eq!(judged(&records(), &rules).findings, []);
        assert_eq!(judged(&records(), &rules).code(), 0);
    }
    assert_eq!(judged(&records()[2..], &kafka(0)).findings, []);
    // A directory keeps everything.
    assert_eq!(kinds(&records()[2..], &embedded()), [Kind::Altered]);
}

#[test]
fn every_kind_of_loss_has_an_exit_code_of_its_own() {
    let codes = [
        Kind::Altered,
        Kind::Missing,
        Kind::Behind,
        Kind::Unlinked,
        Kind::NoChain,
        Kind::Nothing,
        Kind::Torn,
        Kind::Unproven,
    ];
    assert_eq!(codes.map(Kind::code), [1, 3, 4, 5, 6, 7, 8, 9], "they are documented");
    for rules in [embedded(), kafka(0), kafka(900)] {
        only(&[], &rules, Kind::Nothing);
        let all = records();
        let [audited, links]: [Vec<Seen>; 2] = [false, true].map(|trail| {
            all.iter().filter(|seen| (seen.topic == Topic::AuditLogs) == trail).cloned().collect()
        });
        let gone = only(&links, &rules, Kind::Missing);
        assert!(
            gone.starts_with("order-events/1@0: it is not there, though link 0 vouches for it; 3 of"),
            "{gone}"
        );
        let alone = only(&audited, &rules, Kind::NoChain);
        assert!(alone.contains("3 records, the first of which is order-events/1@0"), "{alone}");
        let mut last_gone = records();
        last_gone.remove(4);
        let last = only(&last_gone, &rules, Kind::Missing);
        assert!(last.starts_with("order-events/1@2: it is not there, though link 2"), "{last}");
    }
}

#[test]
fn a_record_that_was_left_out_is_told_from_one_that_waits() {
    let mut behind = records();
    behind.remove(5);
    behind.remove(3);
    for rules in [embedded(), kafka(0), kafka(900)] {
        let text = only(&behind, &rules, Kind::Behind);
        assert!(text.contains("2 records from order-events/1@1 on are not in the trail"), "{text}");
    }
    // A chain of the first and the third record only.
    let mut machine = AuditMachine::new();
    let mut left_out: Vec<Seen> = records().into_iter().step_by(2).collect();
    let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(WRITTEN));
    for seen in [&left_out[0], &left_out[2]] {
        machine.handle(&wire::decode(seen.at(), &view(seen)).unwrap(), &mut outbox);
    }
    for (append, offset) in outbox.take().0.iter().zip(0..) {
        let at = Position { topic: Topic::AuditLogs, partition: 0, offset };
        left_out.push(Seen::new(at, wire::encode(append).unwrap().value.unwrap()));
    }
    let text = only(&left_out, &embedded(), Kind::Unlinked);
    assert!(text.starts_with("order-events/1@1: it has no link"), "{text}");
}

#[test]
fn what_kafka_forgets_by_age_is_not_missing() {
    let all = records_of(Topic::NotificationEvents);
    assert_eq!(judged(&all[1..], &kafka(8)).findings, []);
    only(&all[1..], &kafka(6), Kind::Missing);
    only(&all[1..], &embedded(), Kind::Missing);
    // Event stores are kept for ever.
    only(&records()[1..], &kafka(900), Kind::Missing);
    // Unless checkpoints stand for the records before here.
    let cut =
        |first| Rules { cuts: [((records()[0].topic, records()[0].partition), first)].into(), ..kafka(900) };
    let first = records()[0].offset;
    assert_eq!(judged(&records()[1..], &cut(first + 1)).findings, []);
    only(&records()[1..], &cut(first), Kind::Missing);
    // Links older than their retention may be gone, newer ones may not.
    let mut links_gone = records();
    links_gone.remove(1);
    assert_eq!(judged(&links_gone, &kafka(366)).findings, []);
    only(&links_gone, &kafka(364), Kind::Unlinked);
}

#[test]
fn what_comes_later_completes_the_trail_and_adds_no_demand() {
    let mut all = records();
    let late = all.split_off(4);
    let waiting = all.remove(3);
    let mut trail = Trail::default();
    for seen in &all {
        trail.take(seen);
    }
    trail.catch_up();
    assert!(trail.awaits_links() && !trail.awaits_records());
    trail.take(&waiting);
    assert!(!trail.awaits_links());
    // A new link whose record is not read yet, and the record.
    trail.take(&late[1]);
    assert_eq!(trail.judge(&embedded(), None).findings, []);
    trail.take(&late[0]);
    assert_eq!(trail.judge(&embedded(), None).findings, []);
}

#[test]
fn what_the_files_prove_is_missing_too() {
    let mut trail = Trail::default();
    for seen in &records() {
        trail.take(seen);
    }
    trail.catch_up();
    let end = Position { topic: Topic::OrderEvents, partition: 1, offset: 3 };
    let short = vec![Short { end, wanted: 5 }];
    let files = Recovery { short, proof: Proof::Given, ..Recovery::default() };
    let verdict = trail.judge(&embedded(), Some(&files));
    assert_eq!((verdict.code(), verdict.findings.len()), (3, 1));
    assert!(verdict.findings[0].text.starts_with("order-events/1@3"), "{:?}", verdict.findings);
}

#[test]
fn the_first_wrong_link_is_named() {
    let mut missing = records();
    missing.remove(3);
    assert!(problems(&missing)[0].contains("missing"), "{:?}", problems(&missing));
    let mut swapped = records();
    swapped.swap(3, 5);
    assert!(problems(&swapped)[0].contains("link 2"), "{:?}", problems(&swapped));
    let mut forged = records();
    altered(&mut forged[1], "OrderCancelRequestedCommand", "PlaceOrderCommand");
    assert!(problems(&forged)[0].contains("altered"), "{:?}", problems(&forged));
}

/// The summary of a trail without findings except pending links.
fn summary(records: &[Seen]) -> String {
    let verdict = judged(records, &embedded());
    assert!(verdict.findings.iter().all(|finding| finding.kind == Kind::Behind), "{:?}", verdict.findings);
    verdict.summary
}

#[test]
fn a_record_that_was_changed_after_its_audit_is_named() {
    let mut changed = records();
    let other = EventId::named("another").to_string();
    let order = OrderId::derive(&"USER-1".parse().unwrap(), "1").to_string();
    altered(&mut changed[2], &order, &other);
    let problems = problems(&changed);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("order-events/1@1"), "{problems:?}");
}

/// An unreadable record, its dead letter, the link about it, and its resolution by a person.
fn dead() -> Vec<Seen> {
    let at = Position { topic: Topic::OrderEvents, partition: 0, offset: 0 };
    let raw = RawRecord { value: Some(b"[1".to_vec()), ..RawRecord::default() };
    let record = Unreadable { at, reason: "not an event".into(), raw: raw.into() };
    let mut machine = AuditMachine::new();
    let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(WRITTEN));
    machine.unreadable(&record, &mut outbox);
    let how = Resolution::Discarded;
    let (by, reason) = ("ana".to_owned(), "a test".to_owned());
    let resolved = DeadLetterResolved { location: at.location(), how, replayed_to: None, by, reason };
    outbox.emit_named("resolved", resolved);
    let trail = outbox.take().0.into_iter().zip(0..).map(|(append, offset)| {
        let at = Position { topic: Topic::AuditLogs, partition: 0, offset };
        Seen::new(at, wire::encode(&append).unwrap().value.unwrap())
    });
    let bad =
        Seen { bytes: Some(record.raw.hash()), unreadable: Some(record), ..Seen::new(at, b"[1".to_vec()) };
    std::iter::once(bad).chain(trail).collect()
}

#[test]
fn dead_letters_are_vouched_for_and_counted() {
    assert!(summary(&records()).ends_with("3 links; 3 audited records are unchanged"));
    let open = summary(&dead()[..3]);
    assert!(
        open.contains("1 links; 1 audited records are unchanged; 1 dead letters, 1 of them open"),
        "{open}"
    );
    let resolved = summary(&dead());
    assert!(resolved.contains("1 dead letters, 0 of them open"), "{resolved}");
    let waits = only(&dead(), &embedded(), Kind::Behind);
    assert!(waits.contains("1 records from audit-logs/0@2 on are not in the trail yet"), "{waits}");
}

#[test]
fn a_dead_letter_that_is_gone_or_another_one_is_named() {
    let mut gone = dead();
    gone.remove(1);
    // The trail still goes back to its first record.
    gone[1].offset = 0;
    assert!(problems(&gone)[0].starts_with("order-events/0@0: the dead letter that link 0"), "{gone:?}");
    let mut another = dead();
    altered(&mut another[1], "WzE=", "WzI=");
    assert!(problems(&another)[0].ends_with("vouches for is another one"), "{:?}", problems(&another));
    // A newer release may be able to read it.
    let mut understood = dead();
    let event = records()[0].value.clone();
    understood[0] = Seen { bytes: understood[0].bytes, ..Seen::new(understood[0].at(), event.clone()) };
    assert_eq!(problems(&understood), Vec::<String>::new());
    understood[0].bytes = Some(sha256(&event));
    assert!(problems(&understood)[0].contains("it is not what link 0 says"), "an event was put in its place");
    let mut record = dead();
    record[0].bytes = Some(RawRecord::default().hash());
    assert!(problems(&record)[0].contains("it is not what link 0 says"), "{:?}", problems(&record));
}

#[test]
fn bytes_that_say_the_same_are_told_from_those_that_were_written() {
    let written = records();
    let mut from_stream = written.clone();
    for seen in &mut from_stream {
        seen.bytes = None;
    }
    assert_eq!(problems(&from_stream), Vec::<String>::new(), "what was not read is not compared");
    let mut others = written.clone();
    others[2].bytes = Some(sha256(b"another header"));
    let found = problems(&others);
    let text = "order-events/1@1: its key, its headers or its bytes are not what link 1 says that they were";
    assert_eq!(found, [text]);
}

#[test]
fn a_link_that_says_nothing_of_bytes_or_names_others_was_altered() {
    let hash =
        |records: &[Seen]| match &wire::decode(records[3].at(), &view(&records[3])).unwrap().message.event {
            RecordedEvent::AuditLogCreated(link) => {
                link.record_hash.unwrap().map(|byte| format!("{byte:02x}")).concat()
            }
            other => panic!("{other:?}"),
        };
    let other = "00".repeat(32);
    let mut renamed = records();
    let before = hash(&renamed);
    altered(&mut renamed[3], &before, &other);
    assert_eq!(problems(&renamed), ["order-events/1@1: it is not what link 1 says that it was"]);
    let mut silent = records();
    altered(&mut silent[3], &format!("\"recordHash\":\"{before}\","), "");
    assert_eq!(problems(&silent), ["order-events/1@1: it is not what link 1 says that it was"]);
}

#[test]
fn links_of_before_that_name_no_bytes_are_as_good_as_they_were() {
    let mut machine = AuditMachine::new();
    let mut trail: Vec<Seen> = records().into_iter().step_by(2).collect();
    let mut outbox = Outbox::new(Service::Audit, Timestamp::from_millis(WRITTEN));
    for seen in &trail {
        machine.handle(&wire::decode(seen.at(), &view(seen)).unwrap(), &mut outbox);
    }
    for (append, offset) in outbox.take().0.iter().zip(0..) {
        let record = wire::encode(append).unwrap();
        assert!(!String::from_utf8_lossy(record.value.as_deref().unwrap()).contains("recordHash"));
        trail.push(seen(Position { topic: Topic::AuditLogs, partition: 0, offset }, record));
    }
    assert_eq!(judged(&trail, &embedded()).findings, []);
    let other = EventId::named("another").to_string();
    let order = OrderId::derive(&"USER-1".parse().unwrap(), "1").to_string();
    altered(&mut trail[1], &order, &other);
    assert_eq!(problems(&trail).len(), 1);
}

fn view(seen: &Seen) -> wire::RecordView<'_> {
    wire::RecordView::new(Some(&seen.value), Timestamp::default())
}
