//! Writes the audit chain, and lets the log decide where two writers disagree.
//!
//! A link counts where it ties in with the end of the chain at its place in the log. A process that was thought dead
//! may still write: whichever link is first in the log counts, the other one does not tie in any more, and its writer
//! reads that, and links once more what did not get in. So every record is in the chain exactly once.
//!
//! A record that nobody understands is kept whole in the log, right before its link: where the link got in, so did the
//! record. What a person did with it is linked too, as soon as it is read back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;

use kbnt_domain::audit::{Hash, Head, Link as _};
use kbnt_domain::{EventId, Timestamp};

use super::canon::{content_hash, vouched_hash};
use super::coverage::Coverage;
use crate::event::{AuditLogCreated, DeadLetterStored, RecordedEvent};
use crate::machine::{Append, Auditor, Delivered, Follows, Machine, Outbox, Position};
use crate::message::{Classification, Message, Service, Subject, Topic, Trace};
use crate::ports::Unreadable;

/// The name under which a link vouches for a record that nobody understands.
pub const DEAD_LETTER: &str = "DeadLetterStored";

/// Of the newest records of the trail: more than an owner has in hand.
const LOOKS_BACK: u64 = 100_000;

/// What is kept of a record that nobody understands.
pub fn dead_letter(record: &Unreadable) -> DeadLetterStored {
    let Unreadable { at, reason, raw } = record;
    let headers = raw.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
    let (key, value) = (raw.key.as_deref(), raw.value.as_deref());
    DeadLetterStored::new(at.location(), reason.clone(), raw.at, key, value, headers)
}

/// Writes the audit trail.
#[derive(Debug, Default)]
pub struct AuditMachine {
    /// The chain as the log has it.
    head: Head,
    /// The chain with our own links that were not read back yet.
    tip: Head,
    /// Those links, oldest first.
    pending: VecDeque<Pending>,
    /// The records in the chain, as the log has it.
    linked: Coverage,
    /// And with our own links.
    claimed: Coverage,
    /// Somebody else's link got in where ours were to go.
    overtaken: bool,
    /// Where the log begins.
    begins: Option<u64>,
    /// The trail's own partition is ours.
    owner: bool,
    /// What persons did with dead letters, and is not in the chain yet.
    resolutions: VecDeque<Delivered>,
}

/// A link that is on its way to the log.
#[derive(Debug)]
struct Pending {
    link: AuditLogCreated,
    at: Position,
    trace: Trace,
    /// The record itself, if nobody understands it.
    letter: Option<DeadLetterStored>,
}

impl Pending {
    fn new(record: &Delivered) -> Self {
        let Delivered { at, message, raw, .. } = record;
        let (at, record_hash) = (*at, raw.as_ref().map(|raw| raw.hash()));
        let subject =
            Subject::of(&message.event).key().unwrap_or_else(|| format!("partition {}", at.partition));
        let name = Classification::of(&message.event).name;
        Self {
            link: AuditLogCreated {
                record_hash,
                ..link(
                    at,
                    message.id,
                    name,
                    subject,
                    vouched_hash(&content_hash(message), record_hash.as_ref()),
                )
            },
            at,
            trace: message.trace,
            letter: None,
        }
    }

    fn of_unreadable(record: &Unreadable) -> Self {
        let (at, letter) = (record.at, dead_letter(record));
        let id = EventId::named(&at.to_string());
        Self {
            link: link(at, id, DEAD_LETTER, at.to_string(), letter.content_hash()),
            at,
            trace: Trace::root(&id),
            letter: Some(letter.fitting()),
        }
    }
}

/// A link that is not in any chain yet.
fn link(at: Position, audited: EventId, name: &str, subject: String, content_hash: Hash) -> AuditLogCreated {
    AuditLogCreated {
        sequence: 0,
        audited,
        event_name: name.to_owned(),
        subject,
        location: at.location(),
        content_hash,
        record_hash: None,
        previous_hash: [0; 32],
        hash: [0; 32],
    }
}

impl AuditMachine {
    /// A machine that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the log says, if nothing else is to be known: where the trail begins, where it ends, and what has a link.
    /// `None` while what a person did has no link: a later start would not read it again.
    pub(super) fn known(&self) -> Option<(Option<u64>, Head, &Coverage)> {
        let is_resolution = |pending: &Pending| pending.at.topic == Topic::AuditLogs;
        let all_linked = self.resolutions.is_empty() && !self.pending.iter().any(is_resolution);
        all_linked.then_some((self.begins, self.head, &self.linked))
    }

    /// Goes on from there.
    pub(super) fn begin_with(&mut self, begins: Option<u64>, head: Head, linked: Coverage) {
        *self = Self { begins, head, tip: head, claimed: linked.clone(), linked, ..Self::default() };
    }

    /// Links the record at this position, unless our own links vouch for it already.
    fn link_new(&mut self, at: Position, outbox: &mut Outbox, pending: impl FnOnce() -> Pending) {
        self.link_again(outbox);
        if !self.claimed.has(at) {
            self.link(pending(), outbox);
        }
    }

    /// Links a record to the end of the chain.
    fn link(&mut self, mut pending: Pending, outbox: &mut Outbox) {
        let link = &mut pending.link;
        link.sequence = self.tip.length;
        link.previous_hash = self.tip.hash;
        link.hash = link.hash_at(outbox.now());
        self.tip = Head::after(link);
        outbox.answer_earlier(link.audited, pending.trace);
        if let Some(letter) = &pending.letter {
            outbox.emit_named(&format!("dead-letter/{}", pending.at), letter.clone());
        }
        outbox.emit_named(&format!("audit/{}", hex(&link.hash)), link.clone());
        self.claimed.add(pending.at);
        self.pending.push_back(pending);
    }

    /// Links again what did not get in.
    fn link_again(&mut self, outbox: &mut Outbox) {
        if !std::mem::take(&mut self.overtaken) {
            return;
        }
        self.tip = self.head;
        self.claimed = self.linked.clone();
        for pending in std::mem::take(&mut self.pending) {
            if !self.linked.has(pending.at) {
                self.link(pending, outbox);
            }
        }
    }

    /// A link appears in the log.
    fn follow_link(&mut self, at: Timestamp, link: &AuditLogCreated) {
        // Where the log no longer goes back to the first link, the first one that is there is taken on trust.
        let is_cut = self.begins > Some(0);
        let anchor = self.head == Head::default() && is_cut;
        if !(anchor || self.head.precedes(link)) || link.hash != link.hash_at(at) {
            return;
        }
        self.head = Head::after(link);
        let at = Position::of(&link.location);
        let add = if is_cut { Coverage::add_to_cut } else { Coverage::add };
        if let Some(at) = at {
            add(&mut self.linked, at);
            while self.resolutions.front().is_some_and(|record| self.linked.has(record.at)) {
                self.resolutions.pop_front();
            }
        }
        match (self.pending.front(), at) {
            (Some(pending), _) if pending.link.hash == link.hash => {
                self.pending.pop_front();
            }
            (Some(_), _) => self.overtaken = true,
            (None, at) => {
                self.tip = self.head;
                if let Some(at) = at {
                    add(&mut self.claimed, at);
                }
            }
        }
    }
}

impl Machine for AuditMachine {
    type Sole = Infallible;
    type Imaged = Self;

    fn service(&self) -> Service {
        Service::Audit
    }

    /// Whoever has the trail's only partition links what appears in it.
    fn assigned(&mut self, partition: u32) {
        self.owner |= partition == 0;
    }

    /// What is on its way may still get in: whether it or the next owner's link counts, the log decides.
    fn revoked(&mut self, partition: u32) {
        self.owner &= partition != 0;
    }

    /// It has followed the trail; only what another owner has linked last may not have come in.
    fn looks_back(&self) -> Option<u64> {
        Some(LOOKS_BACK)
    }

    fn fold(&mut self, record: &Delivered) {
        self.follow(record);
    }

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        self.link_new(record.at, outbox, || Pending::new(record));
    }

    fn tick(&mut self, outbox: &mut Outbox) {
        self.link_again(outbox);
        let resolutions = if self.owner { std::mem::take(&mut self.resolutions) } else { VecDeque::new() };
        for record in resolutions {
            self.link_new(record.at, outbox, || Pending::new(&record));
        }
    }

    fn next_tick(&self) -> Option<Timestamp> {
        (self.overtaken || self.owner && !self.resolutions.is_empty()).then_some(Timestamp::MIN)
    }

    fn in_hand(&self) -> usize {
        self.pending.len()
    }

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        let linked = self.linked.next(topic, partition);
        (self.claimed.next(topic, partition) > linked).then_some(linked)
    }

    fn auditor(&mut self) -> Option<&mut dyn Auditor> {
        Some(self)
    }

    fn imaged(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    fn follows(&self) -> Follows {
        Follows::Everything
    }

    fn follow(&mut self, record: &Delivered) {
        self.begins.get_or_insert(record.at.offset);
        match &record.message.event {
            RecordedEvent::AuditLogCreated(link) => self.follow_link(record.message.at, link),
            RecordedEvent::DeadLetterResolved(_) if !self.linked.has(record.at) => {
                self.resolutions.push_back(record.clone());
            }
            _ => {}
        }
    }
}

impl Auditor for AuditMachine {
    fn unreadable(&mut self, record: &Unreadable, outbox: &mut Outbox) {
        self.link_new(record.at, outbox, || Pending::of_unreadable(record));
    }

    /// The beginning of a dead letter that is too large; its link vouches for all of it.
    fn shortened(&self, append: &Append) -> Option<Append> {
        let RecordedEvent::DeadLetterStored(letter) = &append.message.event else { return None };
        let shorter = letter.shortened();
        if shorter.whole || !letter.whole {
            return None;
        }
        let message = Message { event: shorter.into(), ..append.message.as_ref().clone() };
        Some(Append { message: Arc::new(message), ..append.clone() })
    }

    /// Whatever was committed: what has no link gets one.
    fn unanswered(&self, topic: Topic, partition: u32, committed: u64) -> Vec<Range<u64>> {
        self.linked.missing(topic, partition, committed)
    }

    /// Every link is of a record that was there.
    fn witnessed(&self) -> Vec<Position> {
        self.linked.ends().filter(|at| at.topic.is_event_store()).collect()
    }
}

fn hex(hash: &Hash) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
