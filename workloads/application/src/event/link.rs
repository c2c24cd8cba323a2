//! A link of the audit chain as it stands in the log.

use kbnt_domain::audit::{Hash, Link, link_hash};
use kbnt_domain::{EventId, Timestamp};

use crate::message::Location;

/// One link of the audit chain: that an event was seen, where, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLogCreated {
    /// Position in the chain, from 0.
    pub sequence: u64,
    /// The audited record's event id.
    pub audited: EventId,
    /// The audited record's event name.
    pub event_name: String,
    /// What the audited record is about: its key, an order id for most.
    pub subject: String,
    /// Where the audited record lies: topic, partition and offset.
    pub location: Location,
    /// The SHA-256 of what the audited record says and of `record_hash`.
    pub content_hash: Hash,
    /// The SHA-256 of the audited record's bytes. A dead letter's is its `content_hash`; links of earlier versions have none.
    pub record_hash: Option<Hash>,
    /// The hash of the link before; zeros for the first.
    pub previous_hash: Hash,
    /// The hash over this link's fields and the previous hash.
    pub hash: Hash,
}

impl Link for AuditLogCreated {
    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn previous_hash(&self) -> Hash {
        self.previous_hash
    }

    fn hash(&self) -> Hash {
        self.hash
    }

    fn hash_at(&self, at: Timestamp) -> Hash {
        let (topic, partition, offset) = &self.location;
        let vouched: [&[u8]; 7] = [
            self.audited.as_uuid().as_bytes(),
            self.event_name.as_bytes(),
            self.subject.as_bytes(),
            topic.as_bytes(),
            &partition.to_be_bytes(),
            &offset.to_be_bytes(),
            &self.content_hash,
        ];
        link_hash(self.sequence, at, &vouched, &self.previous_hash)
    }
}

#[cfg(test)]
mod tests {
    use kbnt_domain::Span;
    use kbnt_domain::audit::{Fault, Head, digest, verify};

    use super::*;

    type Entry = (Timestamp, AuditLogCreated);

    fn link(head: &Head, millis: i64, name: &str) -> Entry {
        let at = Timestamp::from_millis(millis);
        let mut link = AuditLogCreated {
            sequence: head.length,
            audited: EventId::named(name),
            event_name: "OrderCreatedEvent".into(),
            subject: name.into(),
            location: ("order-events".into(), 0, head.length),
            content_hash: digest("test", [name.as_bytes()]),
            record_hash: None,
            previous_hash: head.hash,
            hash: [0; 32],
        };
        link.hash = link.hash_at(at);
        (at, link)
    }

    #[test]
    fn whatever_is_altered_is_found() {
        let alterations: [fn(&mut Entry); 10] = [
            |(at, _)| *at = *at + Span::from_millis(1),
            |(_, link)| link.sequence += 1,
            |(_, link)| link.audited = EventId::named("other"),
            |(_, link)| link.event_name.push('x'),
            |(_, link)| link.subject.push('x'),
            |(_, link)| link.location.0.push('x'),
            |(_, link)| link.location.1 += 1,
            |(_, link)| link.location.2 += 1,
            |(_, link)| link.content_hash[31] ^= 1,
            |(_, link)| link.hash[0] ^= 1,
        ];
        for (n, alter) in alterations.into_iter().enumerate() {
            let mut head = Head::default();
            let mut entries = Vec::new();
            for n in 0..5 {
                let entry = link(&head, 1000, &format!("r{n}"));
                head = Head::after(&entry.1);
                entries.push(entry);
            }
            alter(&mut entries[2]);
            let broken = verify(Head::default(), entries).unwrap_err();
            assert_eq!((broken.place, broken.fault), (2, Fault::Altered), "{n}");
        }
    }

    #[test]
    fn a_links_hash_never_changes() {
        let link = AuditLogCreated {
            sequence: 7,
            audited: EventId::named("one"),
            event_name: "OrderCreatedEvent".into(),
            subject: "one".into(),
            location: ("order-events".into(), 1, 17),
            content_hash: [1; 32],
            record_hash: Some([2; 32]),
            previous_hash: [3; 32],
            hash: [0; 32],
        };
        let hash = link.hash_at(Timestamp::from_millis(1_700_000_000_000));
        // Pinned: the audit trail of years ago must still verify.
        assert_eq!(hash[..8], 0xa033_b822_5b51_4569_u64.to_be_bytes());
    }
}
