//! A machine's own output topic as it grows: what it follows, and what callers of a sole writer wait for.

use std::collections::BTreeMap;

use crate::fence::TermFence;
use crate::machine::{Delivered, Machine, Position};
use crate::message::{Service, Topic};
use crate::ports::{Fetched, Mark, Observer};

/// The output topic as it is read back.
pub(super) struct Tail<R> {
    /// Where its reader stands.
    next: Vec<Position>,
    pub(super) fence: TermFence,
    /// The newest record that was read in each partition.
    read: BTreeMap<u32, Mark>,
    /// The newest record of this process in each partition.
    written: BTreeMap<u32, Mark>,
    /// Whether it is that of a sole writer at work, whose callers wait until their records are read back.
    writes_alone: bool,
    /// Callers, and up to where the topic must be read back before they are answered.
    waiting: Vec<Waiting<R>>,
}

struct Waiting<R> {
    until: Vec<Mark>,
    positions: Vec<Position>,
    reply: R,
}

impl<R> Tail<R> {
    pub(super) fn new(from: &[Position]) -> Self {
        Self {
            next: from.to_vec(),
            fence: TermFence::default(),
            read: BTreeMap::new(),
            written: BTreeMap::new(),
            writes_alone: false,
            waiting: Vec::new(),
        }
    }

    /// From now on callers wait until their records are read back; so far the sole writer has written its elections.
    pub(super) fn of_writer(&mut self, elections: BTreeMap<u32, Mark>) {
        (self.written, self.writes_alone) = (elections, true);
    }

    /// Its reader has read these records, and stands here now.
    pub(super) fn reached(&mut self, records: &[Fetched], next: &[Position]) {
        self.next.clear();
        self.next.extend_from_slice(next);
        for record in records.iter().filter_map(Fetched::record) {
            self.read.insert(record.at.partition, Mark { at: record.at, id: record.message.id });
        }
    }

    /// Whether all that lies before `ends` is read.
    pub(super) fn has_reached(&self, ends: &[Position]) -> bool {
        has_reached(&self.next, ends)
    }

    /// Shows the machine what counts of `records`.
    pub(super) fn follow(
        &mut self,
        machine: &mut impl Machine,
        records: &[Fetched],
        service: Service,
        observer: &dyn Observer,
    ) {
        for record in admitted(records, service, observer, &mut self.fence) {
            machine.follow(record);
        }
    }

    /// Takes in what a batch wrote, and hands over the callers that may be answered at once.
    pub(super) fn wrote(
        &mut self,
        written: impl Iterator<Item = Mark>,
        replies: Vec<(Vec<Position>, R)>,
        answer: impl FnMut(R, Vec<Position>),
    ) {
        let mut answer = answer;
        for mark in written {
            let newest = self.written.entry(mark.at.partition).or_insert(mark);
            if newest.at.offset < mark.at.offset {
                *newest = mark;
            }
        }
        if !self.writes_alone {
            return replies.into_iter().for_each(|(positions, reply)| answer(reply, positions));
        }
        for (positions, reply) in replies {
            self.waiting.push(Waiting { until: self.written().collect(), positions, reply });
        }
        self.answer_read_back(answer);
    }

    /// Hands over the callers whose records are read back.
    pub(super) fn answer_read_back(&mut self, mut answer: impl FnMut(R, Vec<Position>)) {
        if self.waiting.is_empty() {
            return;
        }
        let next = &self.next;
        for ready in self.waiting.extract_if(.., |waiting| has_read(next, &waiting.until)) {
            answer(ready.reply, ready.positions);
        }
    }

    /// The newest record of this process in each partition.
    pub(super) fn written(&self) -> impl Iterator<Item = Mark> {
        self.written.values().copied()
    }

    /// The newest record of each partition that an image of the machine stands for: its own, if it writes alone, else the last one that it
    /// has read.
    pub(super) fn imaged(&self) -> impl Iterator<Item = Mark> {
        let newest = if self.writes_alone { &self.written } else { &self.read };
        newest.values().copied()
    }

    /// Whether these records are read back.
    pub(super) fn has_read(&self, records: &[Mark]) -> bool {
        has_read(&self.next, records)
    }

    /// Hands over those who still wait.
    pub(super) fn waiting(&mut self) -> impl Iterator<Item = R> {
        self.waiting.drain(..).map(|waiting| waiting.reply)
    }
}

/// Whether a reader that stands at these positions has passed these records.
fn has_read(next: &[Position], records: &[Mark]) -> bool {
    let in_partition = |mark: &Mark| next.iter().find(|at| at.partition == mark.at.partition);
    records.iter().all(|mark| in_partition(mark).is_some_and(|next| next.offset > mark.at.offset))
}

/// Whether a reader that stands at these positions has read all before `ends`, in the partitions that it reads.
pub(super) fn has_reached(next: &[Position], ends: &[Position]) -> bool {
    ends.iter().all(|end| {
        let here = |at: &&Position| (at.topic, at.partition) == (end.topic, end.partition);
        next.iter().find(here).is_none_or(|at| at.offset >= end.offset)
    })
}

/// Those of `records` that are understood and count; the others are made known to the observer.
pub(super) fn admitted<'a>(
    records: &'a [Fetched],
    service: Service,
    observer: &'a dyn Observer,
    fence: &'a mut TermFence,
) -> impl Iterator<Item = &'a Delivered> {
    records.iter().filter_map(move |fetched| match fetched {
        Fetched::Unreadable(record) => {
            observer.unreadable(service, record);
            None
        }
        Fetched::Record(record) if record.at.topic == Topic::InventoryEvents && !fence.admits(record) => {
            observer.fenced(service, record.at);
            None
        }
        Fetched::Record(record) => Some(record),
    })
}
