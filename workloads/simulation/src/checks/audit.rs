//! The audit chain is sound and holds every record once, also those that nobody understands, which are kept in it.

use std::collections::BTreeMap;

use kbnt_application::audit::{DEAD_LETTER, content_hash, dead_letter, vouched_hash};
use kbnt_application::event::{AuditLogCreated, RecordedEvent};
use kbnt_application::ports::{Fetched, Unreadable};
use kbnt_application::{Delivered, Position, Service, Topic};
use kbnt_domain::audit::{Head, verify};

use crate::world::World;

impl World {
    pub(super) fn check_audit(&self, records: &[Delivered]) -> Result<(), String> {
        let links: Vec<(&Delivered, &AuditLogCreated)> = self
            .log
            .topic(Topic::AuditLogs)
            .filter_map(|record| match &record.message.event {
                RecordedEvent::AuditLogCreated(link) => Some((record, link)),
                _ => None,
            })
            .collect();
        let entries = links.iter().map(|(record, link)| (record.message.at, *link));
        let verified = verify(Head::default(), entries).map_err(|broken| broken.to_string())?;
        let mut head = Head::default();
        let mut audited: BTreeMap<Position, (u64, &AuditLogCreated)> = BTreeMap::new();
        for &(record, link) in &links {
            if head.precedes(link) {
                head = Head::after(link);
                let (name, partition, offset) = &link.location;
                let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.name() == &**name) else {
                    return Err(format!("{:?} is audited and is nowhere", link.location));
                };
                let at = Position { topic, partition: *partition, offset: *offset };
                if audited.insert(at, (record.at.offset, link)).is_some() {
                    return Err(format!("{:?} was audited twice", link.location));
                }
            }
        }
        if verified.head != head {
            return Err("the chain ends in two ways".into());
        }
        let is_audited = |record: &&Delivered| {
            record.at.topic != Topic::AuditLogs
                || matches!(record.message.event, RecordedEvent::DeadLetterResolved(_))
        };
        for record in records.iter().filter(is_audited) {
            let location = record.at;
            let Some((_, link)) = audited.remove(&location) else {
                return Err(format!("{location} is not audited"));
            };
            let bytes = record.raw.as_ref().map(|raw| raw.hash());
            let content = vouched_hash(&content_hash(&record.message), bytes.as_ref());
            if (link.content_hash, link.record_hash) != (content, bytes) || link.audited != record.message.id
            {
                return Err(format!("{location} is audited as something else"));
            }
        }
        let written = Service::Audit.inputs().iter().flat_map(|topic| self.log.written(*topic));
        for record in written.filter_map(not_understood) {
            let Some((at, link)) = audited.remove(&record.at) else {
                return Err(format!("{} is not audited, and nobody understands it", record.at));
            };
            self.check_letter(record, at, link)?;
        }
        match audited.keys().next() {
            None => Ok(()),
            Some(location) => Err(format!("{location} is audited and does not count")),
        }
    }

    /// A record that nobody understands is kept whole before the link at this offset, which vouches for it.
    fn check_letter(&self, record: &Unreadable, at: u64, link: &AuditLogCreated) -> Result<(), String> {
        let expected = dead_letter(record);
        if link.event_name != DEAD_LETTER || link.content_hash != expected.content_hash() {
            return Err(format!("{} is audited as something else", record.at));
        }
        let shortened = expected.shortened();
        let is_it = |kept: &Delivered| match &kept.message.event {
            RecordedEvent::DeadLetterStored(letter) => *letter == expected || *letter == shortened,
            _ => false,
        };
        let mut before = self.log.topic(Topic::AuditLogs).take_while(|kept| kept.at.offset < at);
        if before.any(is_it) { Ok(()) } else { Err(format!("{} is not kept", record.at)) }
    }
}

/// The record, if nobody understands it.
fn not_understood(fetched: &Fetched) -> Option<&Unreadable> {
    match fetched {
        Fetched::Record(_) => None,
        Fetched::Unreadable(record) => Some(record),
    }
}
