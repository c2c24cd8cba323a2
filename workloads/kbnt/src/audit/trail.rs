//! The parts of a trail that were read, and the records that it vouches for.

use std::collections::{HashMap, HashSet};

use kbnt_application::audit::{DEAD_LETTER, content_hash, vouched_hash};
use kbnt_application::event::{AuditLogCreated, RecordedEvent};
use kbnt_application::fence::TermFence;
use kbnt_application::{Delivered, Position, Topic};
use kbnt_domain::Timestamp;
use kbnt_domain::audit::{Hash, Head};
use kbnt_wire::{self as wire, RecordView};

use crate::origin::Seen;

/// The content of a record, as hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    /// The hash of its meaning, if it is an event.
    pub(super) says: Option<Hash>,
    /// The hash of its bytes, if all of them were read.
    pub(super) bytes: Option<Hash>,
}

/// How a record differs from the one that a link vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// Its meaning differs.
    Content,
    /// Its meaning is the same in other bytes, or its key or headers differ.
    Bytes,
}

impl Content {
    /// How it differs from the record that `link` vouches for, as far as it was read.
    pub(super) fn differs(&self, link: &AuditLogCreated) -> Option<Difference> {
        let Self { says, bytes } = self;
        if link.event_name == DEAD_LETTER {
            // Whether the record can be read now does not matter.
            return bytes.is_some_and(|bytes| bytes != link.content_hash).then_some(Difference::Content);
        }
        let vouched = says.map(|says| vouched_hash(&says, link.record_hash.as_ref()));
        if vouched != Some(link.content_hash) {
            return Some(Difference::Content);
        }
        let differ = bytes.zip(link.record_hash).is_some_and(|(bytes, vouched)| bytes != vouched);
        differ.then_some(Difference::Bytes)
    }
}

/// An audited record.
#[derive(Debug)]
pub(super) struct Audited {
    pub(super) content: Content,
    /// Its own time, or else the time of the log.
    pub(super) at: Timestamp,
    /// It existed when the reader had caught up, and audit-service links such records.
    pub(super) wants_link: bool,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The links, in the order of the log.
    pub(super) links: Vec<(Timestamp, AuditLogCreated)>,
    /// The offset of the trail's first record.
    pub(super) first: Option<u64>,
    /// The audited records with their present content.
    pub(super) records: HashMap<Position, Audited>,
    /// What is kept of unreadable records; `None` if the copy is not whole.
    pub(super) dead_letters: HashMap<Position, Option<Hash>>,
    /// Dead letters that a person has resolved.
    pub(super) resolved: HashSet<Position>,
    pub(super) unreadable: Vec<String>,
    /// How many links existed when the reader had caught up.
    caught_up: Option<usize>,
    /// Records that had no link then, and still have none.
    unlinked: HashSet<Position>,
    /// Records that had a link then, and have not been read yet.
    unread: HashSet<Position>,
    fence: TermFence,
}

impl Trail {
    pub(super) fn take(&mut self, seen: &Seen) {
        let at = seen.at();
        let record = RecordView::new(Some(&seen.value), seen.written);
        if at.topic == Topic::AuditLogs {
            self.first.get_or_insert(at.offset);
        }
        match wire::decode(at, &record) {
            Ok(Delivered { message, source, .. }) => match &message.event {
                RecordedEvent::AuditLogCreated(link) => {
                    if let Some(linked) = Position::of(&link.location) {
                        self.unlinked.remove(&linked);
                    }
                    self.links.push((message.at, link.clone()));
                }
                RecordedEvent::DeadLetterStored(dead_letter) => {
                    if let Some(place) = Position::of(&dead_letter.location) {
                        self.dead_letters.entry(place).or_insert_with(|| dead_letter.kept_hash());
                    }
                }
                event => {
                    if let RecordedEvent::DeadLetterResolved(resolved) = event {
                        self.resolved.extend(Position::of(&resolved.location));
                    }
                    let content = Content { says: Some(content_hash(&message)), bytes: seen.bytes };
                    // The records of a fenced writer do not count, and get no link.
                    let delivered = Delivered { at, message: message.clone(), source, raw: None };
                    let counts = at.topic != Topic::InventoryEvents || self.fence.admits(&delivered);
                    self.keep(at, content, message.at, counts);
                }
            },
            // Every record of the trail itself must be readable.
            Err(error) if at.topic == Topic::AuditLogs => self.unreadable.push(format!("{at}: {error}")),
            Err(_) => {
                if let Some(record) = &seen.unreadable {
                    self.keep(at, Content { says: None, bytes: seen.bytes }, record.raw.at, true);
                }
            }
        }
    }

    fn keep(&mut self, place: Position, content: Content, at: Timestamp, counts: bool) {
        self.unread.remove(&place);
        let wants_link = counts && self.caught_up.is_none();
        self.records.insert(place, Audited { content, at, wants_link });
    }

    /// Everything that existed at the start is read. Later records may only complete it.
    pub(super) fn catch_up(&mut self) {
        self.caught_up = Some(self.links.len());
        let linked: HashSet<Position> = self.linked().collect();
        let without =
            |(at, record): (&Position, &Audited)| (record.wants_link && !linked.contains(at)).then_some(*at);
        self.unlinked = self.records.iter().filter_map(without).collect();
        self.unread = linked.into_iter().filter(|at| !self.records.contains_key(at)).collect();
    }

    /// Whether records that existed then have no link yet.
    pub(super) fn awaits_links(&self) -> bool {
        !self.unlinked.is_empty()
    }

    /// Whether records with a link have not been read yet.
    pub(super) fn awaits_records(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The records without a link that should have one, in order.
    pub(super) fn without_link(&self) -> Vec<Position> {
        let mut unlinked: Vec<Position> = self.unlinked.iter().copied().collect();
        unlinked.sort_unstable();
        unlinked
    }

    /// The positions that have a link.
    pub(super) fn linked(&self) -> impl Iterator<Item = Position> {
        self.links.iter().filter_map(|(_, link)| Position::of(&link.location))
    }

    /// The links that existed when the reader had caught up. Everything that they vouch for existed before
    /// them.
    pub(super) fn settled_links(&self) -> &[(Timestamp, AuditLogCreated)] {
        &self.links[..self.caught_up.unwrap_or(self.links.len()).min(self.links.len())]
    }

    /// The head that the first link must follow: the empty one, unless retention removed the links before it.
    pub(super) fn start(&self, may_be_cut: bool) -> Head {
        match (self.first, self.links.first()) {
            (Some(1..), Some((_, link))) if may_be_cut => {
                Head { length: link.sequence, hash: link.previous_hash }
            }
            _ => Head::default(),
        }
    }
}
