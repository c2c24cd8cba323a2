//! A machine's own output topic as it grows: what it follows, and what callers of a sole writer wait for.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbnt_application::fence::TermFence;
use kbnt_application::ports::{CallError, Fetched, LogError, LogReader, Mark, Observer};
use kbnt_application::{Machine, Position, Service, Topic};

use super::catchup::{MOST, WAIT};
use super::handle::Reply;

/// Reads the output topic back.
pub(super) struct Tail {
    service: Service,
    observer: Arc<dyn Observer>,
    reader: Box<dyn LogReader>,
    fence: TermFence,
    /// The newest record of this writer in each partition; only a sole writer keeps it.
    written: Option<BTreeMap<u32, Mark>>,
    /// Callers, and up to where the topic must be read back before they are answered.
    waiting: Vec<(Vec<Mark>, Vec<Position>, Reply)>,
}

impl Tail {
    pub(super) fn new(service: Service, observer: Arc<dyn Observer>, reader: Box<dyn LogReader>) -> Self {
        let fence = TermFence::default();
        Self { service, observer, reader, fence, written: None, waiting: Vec::new() }
    }

    /// The tail of a sole writer, whose callers wait until their records are read back; so far it has written its
    /// elections.
    pub(super) fn of_writer(mut self, fence: TermFence, elections: BTreeMap<u32, Mark>) -> Self {
        self.fence = fence;
        self.written = Some(elections);
        self
    }

    pub(super) async fn next(&mut self) -> Result<Vec<Fetched>, LogError> {
        self.reader.next(MOST, WAIT).await
    }

    /// Shows the machine what counts of `records`.
    pub(super) fn follow(&mut self, machine: &mut impl Machine, records: &[Fetched]) {
        for record in admitted(records, self.service, self.observer.as_ref(), &mut self.fence) {
            machine.follow(record);
        }
    }

    /// Answers these callers as soon as they may be.
    pub(super) fn answer(&mut self, written: &[Mark], replies: Vec<(Vec<Position>, Reply)>) {
        let Some(newest) = &mut self.written else {
            return replies.into_iter().for_each(|(positions, reply)| reply(Ok(positions)));
        };
        for mark in written {
            let newest = newest.entry(mark.at.partition).or_insert(*mark);
            if newest.at.offset < mark.at.offset {
                *newest = *mark;
            }
        }
        for (positions, reply) in replies {
            self.waiting.push((newest.values().copied().collect(), positions, reply));
        }
        self.answer_read_back();
    }

    /// Answers those whose records are read back.
    pub(super) fn answer_read_back(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let read = self.reader.positions();
        let (ready, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|(newest, ..)| has_read(&read, newest));
        self.waiting = waiting;
        for (_, positions, reply) in ready {
            reply(Ok(positions));
        }
    }

    /// The newest record of this writer in each partition.
    pub(super) fn written(&self) -> impl Iterator<Item = &Mark> {
        self.written.iter().flat_map(BTreeMap::values)
    }

    /// Whether these records are read back.
    pub(super) fn has_read(&self, records: &[Mark]) -> bool {
        has_read(&self.reader.positions(), records)
    }

    /// Tells those who still wait why they are not answered.
    pub(super) fn answer_all(&mut self, why: &CallError) {
        for (_, _, reply) in std::mem::take(&mut self.waiting) {
            reply(Err(why.clone()));
        }
    }
}

/// Whether a reader that stands at these positions has passed these records.
fn has_read(positions: &[Position], records: &[Mark]) -> bool {
    let next = |mark: &Mark| positions.iter().find(|at| at.partition == mark.at.partition);
    records.iter().all(|mark| next(mark).is_some_and(|next| next.offset > mark.at.offset))
}

/// Those of `records` that are understood and count; the others are told to the observer.
pub(super) fn admitted<'a>(
    records: &'a [Fetched],
    service: Service,
    observer: &'a dyn Observer,
    fence: &'a mut TermFence,
) -> impl Iterator<Item = &'a kbnt_application::Delivered> {
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
