//! Begins with a snapshot, if there is one that fits the log.

use std::collections::BTreeMap;

use super::begin::{Begin, Folding};
use super::tail::Tail;
use super::{Command, Driver, Reader, beginning};
use crate::intact::{Bounds, Fault};
use crate::machine::{ImageOf, Imaged, Machine, Position};
use crate::ports::{Fetched, Mark, Snapshot, SnapshotError, SnapshotEvent};

/// Reads without a record after which there is none to come.
const PATIENCE: usize = 10;

/// What is wrong with a snapshot of a log that is shorter.
pub(super) const ENDS_BEFORE: &str = "the log ends before it";

/// What is wrong with a snapshot whose log was cut since.
const BEGINS_AFTER: &str = "the log begins after it";

/// The last records of a snapshot are looked for in the log.
pub(super) struct Search<I> {
    snapshot: Snapshot<I>,
    unseen: BTreeMap<u32, Mark>,
    /// What was read behind those that were found.
    ahead: Vec<Fetched>,
    idle: usize,
    pub(super) is_open: bool,
    folding: Folding,
}

impl<I> Search<I> {
    fn new(snapshot: Snapshot<I>, folding: Folding) -> Self {
        let unseen = snapshot.folded.iter().map(|mark| (mark.at.partition, *mark)).collect();
        Self { snapshot, unseen, ahead: Vec::new(), idle: 0, is_open: false, folding }
    }

    /// The reader is open; the topic ends here.
    pub(super) fn open(&mut self, ends: &[Position]) {
        self.is_open = true;
        self.folding.ends = Some(ends.to_vec());
    }

    /// Takes in what was read; else why this is not the snapshot's log.
    fn take(&mut self, records: &[Fetched]) -> Result<(), &'static str> {
        self.idle = if records.is_empty() { self.idle + 1 } else { 0 };
        if self.idle == PATIENCE {
            return Err("its last records are not in the log");
        }
        for fetched in records {
            match self.unseen.remove(&fetched.at().partition) {
                None => self.ahead.push(fetched.clone()),
                Some(mark) if is_it(fetched, &mark) => {}
                Some(_) => return Err("the log has other records where its last ones would be"),
            }
        }
        Ok(())
    }
}

impl<M: Machine, R> Driver<M, R> {
    /// Asks for the snapshot before so many newer ones.
    pub(super) fn load(&mut self, before: usize) {
        self.core.command(Command::Load(before));
        self.stage = super::Stage::Begin(Begin::Loading(before));
    }

    pub(super) fn loaded(
        &mut self,
        before: usize,
        loaded: Option<Result<Box<Snapshot<ImageOf<M>>>, SnapshotError>>,
    ) {
        let snapshot = match loaded {
            None => return self.fold_all(),
            Some(Ok(snapshot)) => snapshot,
            Some(Err(error)) => {
                self.refuse_snapshot(before, &error.to_string());
                return;
            }
        };
        let output = self.core.service.output();
        let marks: BTreeMap<u32, &Mark> =
            snapshot.folded.iter().map(|mark| (mark.at.partition, mark)).collect();
        // A sole writer has written to every partition, and a member has read those that are not empty.
        let is_whole =
            self.core.machine.sole_writer().is_none() || marks.keys().copied().eq(0..output.partitions());
        let is_of = |mark: &Mark| mark.at.topic == output && mark.at.partition < output.partitions();
        if !is_whole || !snapshot.folded.iter().all(is_of) {
            self.refuse_snapshot(before, "it is not of all partitions");
            return;
        }
        self.core.command(Command::Bounds(needed_by(&snapshot)));
        self.await_in(Begin::Needing(before, snapshot));
    }

    /// The log keeps this of the partitions that a snapshot needs.
    pub(super) fn needed(&mut self, before: usize, snapshot: Box<Snapshot<ImageOf<M>>>, kept: &[Bounds]) {
        let needed = needed_by(&snapshot);
        let short = needed.iter().zip(kept).find(|(needed, kept)| kept.end < needed.offset);
        if let Some((needed, kept)) = short {
            let Position { topic, partition, offset: wanted } = *needed;
            if !topic.is_event_store() {
                self.refuse_snapshot(before, ENDS_BEFORE);
                return;
            }
            let fault = Fault::Short { partition, wanted, found: kept.end };
            self.core.command(Command::Contradict(topic, fault));
            self.await_in(Begin::Short(before));
            return;
        }
        // Whoever cuts a log leaves what the checkpoints need, and a snapshot may be older than these.
        let first = |at: &Position| {
            let here = |(needed, _): &(&Position, &Bounds)| {
                (needed.topic, needed.partition) == (at.topic, at.partition)
            };
            needed.iter().zip(kept).find(here).map_or(0, |(_, kept)| kept.first)
        };
        if !snapshot.reads().all(|at| at.offset >= first(&at)) {
            self.refuse_snapshot(before, BEGINS_AFTER);
            return;
        }
        let mut from = beginning(self.core.service.output());
        for mark in &snapshot.folded {
            if let Some(at) = from.iter_mut().find(|at| at.partition == mark.at.partition) {
                *at = mark.at;
            }
        }
        self.core.tail = Some(Tail::new(&from));
        self.core.command(Command::Open(Reader::Output, from));
        let folding = Folding { since: (self.core.stopwatch)(), ..Folding::default() };
        self.await_in(Begin::Searching(before, Box::new(Search::new(*snapshot, folding))));
    }

    pub(super) fn search(
        &mut self,
        before: usize,
        mut search: Box<Search<ImageOf<M>>>,
        records: &[Fetched],
        next: &[Position],
    ) {
        if let Err(why) = search.take(records) {
            self.refuse_snapshot(before, why);
            return;
        }
        self.core.reached(records, next);
        self.search_on(before, search);
    }

    /// Goes on to search, or lets the machine begin with the snapshot.
    pub(super) fn search_on(&mut self, before: usize, search: Box<Search<ImageOf<M>>>) {
        if !search.unseen.is_empty() {
            self.await_in(Begin::Searching(before, search));
            return;
        }
        let Search { snapshot, ahead, mut folding, .. } = *search;
        let Snapshot { taken, folded, inputs, image } = snapshot;
        // Nothing else begins with a snapshot.
        let Some(machine) = self.core.machine.imaged() else { return self.fold_all() };
        let writer = match machine.restore(image) {
            Ok(writer) => writer,
            Err(error) => {
                let why = error.to_string();
                self.refuse_snapshot(before, &why);
                return;
            }
        };
        self.core.observer.snapshot(self.core.service, &SnapshotEvent::Restored { taken, before });
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.begin_with(inputs);
        }
        if let (Some(tail), Some(writer)) = (&mut self.core.tail, writer) {
            for mark in &folded {
                tail.fence.elected(mark.at.partition, &writer);
            }
        }
        self.core.take_up(&mut folding, &ahead);
        self.fold_on(folding);
    }

    /// It is of no use: the one before it may be.
    pub(super) fn refuse_snapshot(&mut self, before: usize, why: &str) {
        self.core.observer.snapshot(self.core.service, &SnapshotEvent::Refused { before, why });
        self.load(before + 1);
    }
}

/// The positions up to which a log must have records for a snapshot to be of use.
fn needed_by<I>(snapshot: &Snapshot<I>) -> Vec<Position> {
    let after = |mark: &Mark| Position { offset: mark.at.offset + 1, ..mark.at };
    snapshot.folded.iter().map(after).chain(snapshot.inputs.iter().copied()).collect()
}

fn is_it(fetched: &Fetched, mark: &Mark) -> bool {
    matches!(fetched, Fetched::Record(record) if record.at == mark.at && record.message.id == mark.id)
}
