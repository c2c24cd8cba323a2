//! Records that nobody understands, and what persons do with them.

use std::collections::BTreeSet;

use kbnt_domain::{EventId, Timestamp};

use super::super::{AuditMachine, DEAD_LETTER};
use super::{Log, deliver, link_of, records, restarted, unread};
use crate::event::{DeadLetterResolved, DeadLetterStored, RecordedEvent, Resolution};
use crate::machine::{Auditor as _, Imaged as _, Machine, Position};
use crate::message::{Subject, Topic};
use crate::ports::{RawRecord, Unreadable};
use crate::testkit::*;

fn poison(topic: Topic, offset: u64, value: Option<&[u8]>) -> Unreadable {
    let raw = RawRecord {
        key: Some(b"\xffkey".to_vec()),
        value: value.map(<[u8]>::to_vec),
        headers: vec![("a".into(), None), ("a".into(), Some(b"\x00".to_vec()))],
        at: at(7),
    };
    Unreadable {
        at: Position { topic, partition: 0, offset },
        reason: "not an event".into(),
        raw: raw.into(),
    }
}

fn meet(driven: &mut Driven<AuditMachine>, record: &Unreadable) {
    driven.step(|machine, outbox| machine.unreadable(record, outbox));
}

fn letter_of(event: &RecordedEvent) -> Option<&DeadLetterStored> {
    match event {
        RecordedEvent::DeadLetterStored(letter) => Some(letter),
        _ => None,
    }
}

/// The dead letters in the log, each event id once. No link comes before the letter that it vouches for.
fn letters(log: &Log) -> Vec<&DeadLetterStored> {
    let (mut ids, mut letters) = (BTreeSet::<EventId>::new(), Vec::<&DeadLetterStored>::new());
    for record in &log.records {
        if let Some(letter) = letter_of(&record.message.event)
            && ids.insert(record.message.id)
        {
            letters.push(letter);
        }
        if let Some((_, link)) = link_of(record).filter(|(_, link)| link.event_name == DEAD_LETTER) {
            let letter = letters.iter().find(|letter| letter.location == link.location);
            assert_eq!(letter.and_then(|letter| letter.kept_hash()), Some(link.content_hash), "{link:?}");
        }
    }
    letters
}

fn resolved(offset: u64) -> RecordedEvent {
    let location = ("order-events".to_owned(), 0, offset);
    let (how, by, reason) = (Resolution::Discarded, "ana".to_owned(), "a test".to_owned());
    DeadLetterResolved { location, how, replayed_to: None, by, reason }.into()
}

/// Lets the machine tick as long as it wants to, and its records come into the log.
fn settle(log: &mut Log, driven: &mut Driven<AuditMachine>) {
    loop {
        let written = unread(driven);
        log.take(written, &mut [&mut *driven]);
        if driven.machine.next_tick().is_none() {
            return;
        }
        driven.step(Machine::tick);
    }
}

#[test]
fn a_record_that_nobody_understands_is_kept_whole_and_linked_once() {
    let (mut log, mut driven) = (Log::default(), restarted(&Log::default()));
    let (first, second) =
        (poison(Topic::OrderEvents, 0, Some(b"\xff{")), poison(Topic::OrderEvents, 1, None));
    for record in [&first, &second, &first, &second] {
        meet(&mut driven, record);
    }
    driven.deliver(&record(2, at(0), placed(1)));
    assert_eq!(driven.hold(Topic::OrderEvents), Some(0), "not read back yet");
    let stored = driven.unread[0].message.clone();
    assert_eq!(Subject::of(&stored.event).key().unwrap(), "order-events/0@0");
    settle(&mut log, &mut driven);
    assert_eq!(log.chain(), ["order-events/0", "order-events/1", "order-events/2"]);
    assert_eq!(driven.hold(Topic::OrderEvents), None);
    let kept = letters(&log);
    assert_eq!(kept.len(), 2);
    for (letter, record) in kept.into_iter().zip([&first, &second]) {
        let raw = &record.raw;
        assert!(letter.whole);
        assert_eq!(Position::of(&letter.location), Some(record.at));
        assert_eq!((&letter.reason, letter.recorded_at), (&record.reason, raw.at));
        assert_eq!(letter.key.as_deref(), raw.key.as_deref());
        assert_eq!(letter.value.as_deref(), raw.value.as_deref());
        let headers =
            letter.headers.iter().map(|(name, value)| (name.clone(), value.as_deref().map(<[u8]>::to_vec)));
        assert_eq!(headers.collect::<Vec<_>>(), raw.headers);
    }
}

#[test]
fn wherever_a_crash_cuts_every_dead_letter_is_there_once() {
    let bad: Vec<_> = (2..5).map(|offset| poison(Topic::OrderEvents, offset, Some(b"["))).collect();
    for kept in 0..12 {
        let (mut log, mut driven) = (Log::default(), restarted(&Log::default()));
        deliver(&mut driven, &records());
        for record in &bad {
            meet(&mut driven, record);
        }
        let mut written = unread(&mut driven);
        written.truncate(kept);
        log.take(written, &mut []);
        let mut driven = restarted(&log);
        deliver(&mut driven, &records());
        for record in &bad {
            meet(&mut driven, record);
        }
        settle(&mut log, &mut driven);
        assert_eq!(log.chain().len(), 8, "{kept}");
        assert_eq!(letters(&log).len(), 3, "{kept}");
    }
}

#[test]
fn who_loses_a_race_writes_the_dead_letter_again() {
    let mut log = Log::default();
    let (mut old, mut new) = (restarted(&log), restarted(&log));
    let bad = poison(Topic::OrderEvents, 0, Some(b"["));
    old.deliver(&record(0, at(0), reserved(1, 9)));
    new.now = at(1);
    meet(&mut new, &bad);
    new.deliver(&record(0, at(0), reserved(1, 9)));
    let (of_old, of_new) = (unread(&mut old), unread(&mut new));
    log.take(of_old, &mut [&mut old, &mut new]);
    // The letter of the one that lost is there, its link does not count.
    log.take(of_new, &mut [&mut old, &mut new]);
    assert_eq!(log.chain(), ["inventory-events/0"]);
    settle(&mut log, &mut new);
    assert_eq!(log.chain(), ["inventory-events/0", "order-events/0"]);
    assert_eq!(letters(&log).len(), 1);
    assert_eq!(log.records.iter().filter(|record| letter_of(&record.message.event).is_some()).count(), 2);
}

#[test]
fn what_a_person_did_is_linked_once_by_whoever_has_the_trail() {
    let (mut log, mut owner) = (Log::default(), restarted(&Log::default()));
    let mut other = restarted(&log);
    other.machine.revoked(0);
    meet(&mut owner, &poison(Topic::OrderEvents, 0, Some(b"[")));
    let written = unread(&mut owner);
    log.take(written, &mut [&mut owner, &mut other]);
    let mut hand = Driven::new(AuditMachine::new());
    hand.step(|_, outbox| {
        outbox.emit_named("by hand", resolved(0));
    });
    let written = unread(&mut hand);
    log.take(written, &mut [&mut owner, &mut other]);
    assert_eq!(other.machine.next_tick(), None, "it is not its to link");
    assert_eq!(owner.machine.next_tick(), Some(Timestamp::MIN));
    owner.step(Machine::tick);
    assert_eq!(owner.machine.next_tick(), None);
    // A crash: nothing of it got in.
    let mut owner = restarted(&log);
    assert_eq!(owner.machine.next_tick(), Some(Timestamp::MIN));
    owner.step(Machine::tick);
    owner.step(Machine::tick);
    let written = unread(&mut owner);
    assert_eq!(written.len(), 1);
    log.take(written, &mut [&mut owner, &mut other]);
    assert_eq!(log.chain(), ["order-events/0", "audit-logs/2"]);
    other.machine.assigned(0);
    for driven in [&owner, &other, &restarted(&log)] {
        assert_eq!(driven.machine.next_tick(), None, "it is linked");
    }
}

#[test]
fn what_a_log_refuses_for_its_size_becomes_shorter_once() {
    let mut driven = restarted(&Log::default());
    meet(&mut driven, &poison(Topic::OrderEvents, 0, Some(&vec![b'x'; 1 << 20])));
    let (letter, link) = (driven.unread[0].clone(), driven.unread[1].clone());
    let shorter = driven.machine.shortened(&letter).unwrap();
    assert_eq!(shorter.message.id, letter.message.id);
    assert!(shorter.weight() < letter.weight() / 4);
    let kept = letter_of(&shorter.message.event).unwrap();
    assert!(!kept.whole && kept.value_bytes == 1 << 20);
    assert!(driven.machine.shortened(&shorter).is_none());
    assert!(driven.machine.shortened(&link).is_none());
}

#[test]
fn a_log_that_begins_with_a_dead_letter_was_not_cut() {
    let (mut log, mut driven) = (Log::default(), restarted(&Log::default()));
    meet(&mut driven, &poison(Topic::OrderEvents, 0, Some(b"[")));
    deliver(&mut driven, &records()[1..3]);
    let mut written = unread(&mut driven);
    // Somebody took the first link out.
    written.remove(1);
    log.take(written, &mut []);
    let mut driven = restarted(&log);
    driven.deliver(&record(7, at(0), placed(3)));
    let RecordedEvent::AuditLogCreated(link) = &driven.unread[0].message.event else { panic!() };
    assert_eq!(link.sequence, 0, "nothing of what is there ties in");
}

#[test]
fn there_is_no_image_of_a_trail_while_what_a_person_did_has_no_link() {
    let mut driven = restarted(&Log::default());
    assert!(driven.machine.image().is_some());
    let mut log = Log::default();
    let done = driven.place(at(0), resolved(3));
    driven.machine.follow(&done);
    log.records.push(done);
    assert_eq!(driven.machine.image(), None, "a start with it would not read that any more");
    driven.step(Machine::tick);
    assert_eq!(driven.machine.image(), None, "its link is on its way, and may not get in");
    settle(&mut log, &mut driven);
    assert!(driven.machine.image().is_some());
}
