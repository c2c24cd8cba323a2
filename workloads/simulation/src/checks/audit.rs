//! The audit chain is sound and holds every record once.

use std::collections::BTreeMap;

use kbnt_application::audit::content_hash;
use kbnt_application::{Delivered, Topic};
use kbnt_domain::audit::{Head, verify};
use kbnt_domain::event::{AuditLogCreated, Event};

use crate::world::World;

impl World {
    pub(super) fn check_audit(&self, records: &[Delivered]) -> Result<(), String> {
        let links: Vec<(&Delivered, &AuditLogCreated)> = self
            .log
            .topic(Topic::AuditLogs)
            .filter_map(|record| match &record.message.event {
                Event::AuditLogCreated(link) => Some((record, link)),
                _ => None,
            })
            .collect();
        let entries = links.iter().map(|(record, link)| (record.message.at, (*link).clone()));
        let verified = verify(Head::default(), entries).map_err(|broken| broken.to_string())?;
        let mut head = Head::default();
        let mut audited: BTreeMap<(&str, u32, u64), &AuditLogCreated> = BTreeMap::new();
        for (_, link) in &links {
            if head.precedes(link) {
                head = Head::after(link);
                let (topic, partition, offset) = &link.location;
                if audited.insert((topic, *partition, *offset), link).is_some() {
                    return Err(format!("{:?} was audited twice", link.location));
                }
            }
        }
        if verified.head != head {
            return Err("the chain ends in two ways".into());
        }
        for record in records.iter().filter(|record| record.at.topic != Topic::AuditLogs) {
            let location = (record.at.topic.name(), record.at.partition, record.at.offset);
            let Some(link) = audited.remove(&location) else {
                return Err(format!("{location:?} is not audited"));
            };
            if link.content_hash != content_hash(&record.message) || link.audited != record.message.id {
                return Err(format!("{location:?} is audited as something else"));
            }
        }
        match audited.keys().next() {
            None => Ok(()),
            Some(location) => Err(format!("{location:?} is audited and does not count")),
        }
    }
}
