//! Writes the audit chain, and lets the log decide where two writers disagree.
//!
//! A link counts where it ties in with the end of the chain at its place in the log. A process that was thought dead
//! may still write: whichever link is first in the log counts, the other one does not tie in any more, and its writer
//! reads that, and links once more what did not get in. So every record is in the chain exactly once.

use std::collections::VecDeque;

use kbnt_domain::audit::{Hash, Head, link_hash};
use kbnt_domain::event::AuditLogCreated;
use kbnt_domain::{Event, OrderId, Timestamp};

use super::canon::content_hash;
use crate::machine::{Delivered, EffectOutcome, Machine, Outbox, Position};
use crate::message::{Classification, Service, Subject, Topic, Trace};
use crate::share::Inputs;

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
    linked: Inputs,
    /// And with our own links.
    claimed: Inputs,
    /// Somebody else's link got in where ours were to go.
    overtaken: bool,
}

/// A link that is on its way to the log.
#[derive(Debug)]
struct Pending {
    link: AuditLogCreated,
    at: Position,
    trace: Trace,
}

impl AuditMachine {
    /// A machine that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Links a record to the end of the chain.
    fn link(&mut self, mut pending: Pending, outbox: &mut Outbox) {
        let link = &mut pending.link;
        link.sequence = self.tip.length;
        link.previous_hash = self.tip.hash;
        link.hash = link_hash(outbox.now(), link);
        self.tip = Head::after(link);
        outbox.answer_earlier(link.audited, pending.trace);
        outbox.emit_named(&format!("audit/{}", hex(&link.hash)), link.clone());
        self.claimed.advance(pending.at);
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
            if pending.at.offset >= self.linked.next(pending.at.topic, pending.at.partition) {
                self.link(pending, outbox);
            }
        }
    }
}

impl Machine for AuditMachine {
    fn service(&self) -> Service {
        Service::Audit
    }

    fn assigned(&mut self, _partition: u32) {}

    /// What is on its way may still get in: whether it or the next owner's link counts, the log decides.
    fn revoked(&mut self, _partition: u32) {}

    fn fold(&mut self, record: &Delivered) {
        self.follow(record);
    }

    fn recovered(&mut self, _partition: u32, _outbox: &mut Outbox) {}

    fn handle(&mut self, record: &Delivered, outbox: &mut Outbox) {
        self.link_again(outbox);
        let (at, message) = (record.at, &record.message);
        if at.offset < self.claimed.next(at.topic, at.partition) {
            return;
        }
        let subject =
            Subject::of(&message.event).key().unwrap_or_else(|| format!("partition {}", at.partition));
        let link = AuditLogCreated {
            sequence: 0,
            audited: message.id,
            event_name: Classification::of(&message.event).name.to_owned(),
            subject,
            location: (at.topic.name().to_owned(), at.partition, at.offset),
            content_hash: content_hash(message),
            previous_hash: [0; 32],
            hash: [0; 32],
        };
        self.link(Pending { link, at, trace: message.trace }, outbox);
    }

    fn completed(&mut self, _order: OrderId, _outcome: EffectOutcome, _outbox: &mut Outbox) {}

    fn tick(&mut self, outbox: &mut Outbox) {
        self.link_again(outbox);
    }

    fn next_tick(&self) -> Option<Timestamp> {
        self.overtaken.then_some(Timestamp::MIN)
    }

    fn durable(&mut self) {}

    fn hold(&self, topic: Topic, partition: u32) -> Option<u64> {
        let linked = self.linked.next(topic, partition);
        (self.claimed.next(topic, partition) > linked).then_some(linked)
    }

    fn follows(&self) -> bool {
        true
    }

    fn follow(&mut self, record: &Delivered) {
        let Event::AuditLogCreated(link) = &record.message.event else { return };
        // Where the log no longer goes back to the first link, the first one that is there is taken on trust.
        let anchor = self.head == Head::default() && record.at.offset > 0;
        let sound = link.hash == link_hash(record.message.at, link);
        if !sound || !(anchor || self.head.precedes(link)) {
            return;
        }
        self.head = Head::after(link);
        let (topic, partition, offset) = &link.location;
        let at =
            Topic::from_name(topic).map(|topic| Position { topic, partition: *partition, offset: *offset });
        if let Some(at) = at {
            self.linked.advance(at);
        }
        match (self.pending.front(), at) {
            (Some(pending), _) if pending.link.hash == link.hash => {
                self.pending.pop_front();
            }
            (Some(_), _) => self.overtaken = true,
            (None, at) => {
                self.tip = self.head;
                at.map(|at| self.claimed.advance(at));
            }
        }
    }
}

fn hex(hash: &Hash) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash {
        text.extend([byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('?')));
    }
    text
}
