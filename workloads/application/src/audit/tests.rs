mod letters;

use std::sync::Arc;

use kbnt_domain::Reason::CancelledByClient;
use kbnt_domain::Timestamp;
use kbnt_domain::audit::{Head, Verified, verify};

use super::{AuditImage, AuditMachine, Linked, Unsound, content_hash};
use crate::event::{AuditLogCreated, RecordedEvent, Writer, WriterElected};
use crate::machine::{Append, Delivered, Imaged as _, Machine, Position};
use crate::message::Topic;
use crate::testkit::*;

/// The audit log, and machines that write to it.
#[derive(Default)]
struct Log {
    records: Vec<Delivered>,
}

impl Log {
    /// What a machine wrote comes into the log, and every machine reads it.
    fn take(&mut self, appends: Vec<Append>, machines: &mut [&mut Driven<AuditMachine>]) {
        for append in appends {
            let mut record = record(self.records.len() as u64, at(0), append.message.event.clone());
            record.message = append.message;
            for machine in &mut *machines {
                machine.machine.follow(&record);
            }
            self.records.push(record);
        }
    }

    fn entries(&self) -> Vec<(Timestamp, &AuditLogCreated)> {
        self.records.iter().filter_map(link_of).collect()
    }

    fn links(&self) -> Vec<&AuditLogCreated> {
        self.entries().into_iter().map(|(_, link)| link).collect()
    }

    /// The chain's links, as `topic/offset` of what they audit, if it is sound.
    fn chain(&self) -> Vec<String> {
        let entries = self.entries().into_iter().map(|(at, link)| (at, link.clone()));
        let Verified { head, superseded, .. } = verify(Head::default(), entries).unwrap();
        assert_eq!(head.length + superseded, self.links().len() as u64);
        let mut end = Head::default();
        let mut chain = Vec::new();
        for link in self.links() {
            if end.precedes(link) {
                end = Head::after(link);
                chain.push(format!("{}/{}", link.location.0, link.location.2));
            }
        }
        chain
    }
}

fn link_of(record: &Delivered) -> Option<(Timestamp, &AuditLogCreated)> {
    match &record.message.event {
        RecordedEvent::AuditLogCreated(link) => Some((record.message.at, link)),
        _ => None,
    }
}

fn restarted(log: &Log) -> Driven<AuditMachine> {
    let mut driven = Driven::new(AuditMachine::new());
    for record in &log.records {
        driven.machine.follow(record);
    }
    driven
}

fn records() -> Vec<Delivered> {
    vec![
        record(0, at(0), placed(1)),
        record(0, at(0), validated(1)),
        record(0, at(0), reserved(1, 9)),
        record(1, at(0), placed(2)),
        record(0, at(0), processed(1)),
    ]
}

fn deliver(driven: &mut Driven<AuditMachine>, records: &[Delivered]) {
    for record in records {
        driven.deliver(record);
    }
}

fn unread(driven: &mut Driven<AuditMachine>) -> Vec<Append> {
    std::mem::take(&mut driven.unread)
}

#[test]
fn every_record_is_linked_once_whatever_is_redelivered() {
    let (mut log, mut driven) = (Log::default(), restarted(&Log::default()));
    for record in records().iter().chain(&records()) {
        driven.deliver(record);
    }
    assert_eq!(driven.hold(Topic::OrderEvents), Some(0), "not read back yet");
    let written = unread(&mut driven);
    assert_eq!(written.len(), 5);
    log.take(written, &mut [&mut driven]);
    assert_eq!(
        log.chain(),
        ["order-events/0", "user-events/0", "inventory-events/0", "order-events/1", "payment-events/0"]
    );
    assert_eq!(driven.hold(Topic::OrderEvents), None);
    assert_eq!(driven.machine.next_tick(), None);
}

#[test]
fn a_link_tells_what_it_audits() {
    let mut driven = restarted(&Log::default());
    let audited = record(7, at(0), released(1, CancelledByClient));
    driven.now = at(5);
    driven.deliver(&audited);
    let message = Arc::clone(&driven.unread[0].message);
    let RecordedEvent::AuditLogCreated(link) = &message.event else { panic!() };
    assert_eq!(
        (message.cause, message.trace.trace_id),
        (Some(audited.message.id), audited.message.trace.trace_id)
    );
    assert_eq!(link.event_name, "ReservationReleasedEvent");
    assert_eq!(link.subject, order(1).to_string());
    assert_eq!(link.location, ("inventory-events".to_owned(), 0, 7));
    assert_eq!(link.content_hash, content_hash(&audited.message));
    let writer = Writer { term: 1, name: "w".into() };
    driven.deliver(&record(8, at(0), WriterElected { writer }));
    let RecordedEvent::AuditLogCreated(link) = &driven.unread[1].message.event else { panic!() };
    assert_eq!(link.subject, "partition 0");
}

#[test]
fn a_restart_goes_on_where_the_log_ends() {
    let (mut log, mut driven) = (Log::default(), restarted(&Log::default()));
    deliver(&mut driven, &records());
    // A crash: only three of five links are in the log.
    let mut written = unread(&mut driven);
    written.truncate(3);
    log.take(written, &mut []);
    let mut driven = restarted(&log);
    deliver(&mut driven, &records());
    let written = unread(&mut driven);
    assert_eq!(written.len(), 2);
    log.take(written, &mut [&mut driven]);
    assert_eq!(log.chain().len(), 5);
}

#[test]
fn of_two_writers_the_log_decides_and_nothing_is_lost_or_doubled() {
    let mut log = Log::default();
    let (mut old, mut new) = (restarted(&log), restarted(&log));
    let records = records();
    deliver(&mut old, &records[..3]);
    new.now = at(1);
    deliver(&mut new, &records);
    let (of_old, of_new) = (unread(&mut old), unread(&mut new));
    let (first, later) = (of_old[..1].to_vec(), of_old[1..].to_vec());
    log.take(first, &mut [&mut old, &mut new]);
    log.take(of_new, &mut [&mut old, &mut new]);
    log.take(later, &mut [&mut old, &mut new]);
    assert_eq!(new.machine.next_tick(), Some(Timestamp::MIN));
    assert_eq!(new.hold(Topic::PaymentEvents), Some(0), "not in the chain yet");
    while new.machine.next_tick().is_some() || old.machine.next_tick().is_some() {
        new.step(Machine::tick);
        let written = unread(&mut new);
        log.take(written, &mut [&mut old, &mut new]);
        old.step(Machine::tick);
        let written = unread(&mut old);
        log.take(written, &mut [&mut old, &mut new]);
    }
    let mut chain = log.chain();
    chain.sort();
    assert_eq!(
        chain,
        ["inventory-events/0", "order-events/0", "order-events/1", "payment-events/0", "user-events/0"]
    );
    assert_eq!((new.hold(Topic::PaymentEvents), old.hold(Topic::UserEvents)), (None, None));
}

#[test]
fn a_log_that_was_cut_at_its_beginning_is_taken_up_where_it_starts() {
    let (mut log, mut driven) = (Log::default(), restarted(&Log::default()));
    deliver(&mut driven, &records());
    let written = unread(&mut driven);
    log.take(written, &mut []);
    let rest = Log { records: log.records[2..].to_vec() };
    let mut driven = restarted(&rest);
    driven.deliver(&record(2, at(0), placed(3)));
    let RecordedEvent::AuditLogCreated(link) = &driven.unread[0].message.event else { panic!() };
    assert_eq!((link.sequence, link.previous_hash), (5, log.links()[4].hash));
}

#[test]
fn a_links_content_hash_depends_on_all_that_the_record_says() {
    let hash = |record: &Delivered| content_hash(&record.message);
    let one = hash(&record(0, at(0), placed(1)));
    assert_eq!(one, hash(&record(0, at(0), placed(1))));
    assert_ne!(one, hash(&record(0, at(0), placed(2))));
    assert_ne!(one, hash(&record(0, at(1), placed(1))));
    assert_ne!(one, hash(&record(1, at(0), placed(1))));
    // Pinned: the audit trail of years ago must still verify.
    assert_eq!(one[..8], 0x3550_7dc4_085b_f3d9_u64.to_be_bytes());
}

#[test]
fn a_trail_that_began_with_an_image_goes_on_as_one_that_was_followed() {
    let mut log = Log::default();
    let mut driven = Driven::new(AuditMachine::new());
    deliver(&mut driven, &records());
    let written = unread(&mut driven);
    log.take(written, &mut [&mut driven]);
    for known in 0..=log.records.len() {
        let mut before = Driven::new(AuditMachine::new());
        for record in &log.records[..known] {
            before.machine.follow(record);
        }
        let mut restored = Driven::new(AuditMachine::new());
        assert_eq!(restored.machine.restore(before.machine.image().unwrap()), Ok(None));
        // What it knows already may come once more.
        for record in &log.records[known.saturating_sub(2)..] {
            restored.machine.follow(record);
        }
        assert_eq!(restored.machine.image(), restarted(&log).machine.image(), "{known} known");
        deliver(&mut restored, &records());
        assert_eq!(unread(&mut restored).len(), 0, "each has its link");
    }
}

#[test]
fn an_image_that_contradicts_itself_is_refused() {
    let mut machine = AuditMachine::new();
    let next = Position { topic: Topic::OrderEvents, partition: 0, offset: 9 };
    for gaps in [&[(3, 3)][..], &[(5, 6), (1, 2)], &[(1, 4), (4, 5)], &[(7, 9)]] {
        let linked = vec![Linked { next, gaps: gaps.iter().map(|(start, end)| *start..*end).collect() }];
        let image = AuditImage { begins: Some(0), head: Head::default(), linked };
        assert_eq!(machine.restore(image), Err(Unsound), "{gaps:?}");
    }
}
