//! A member gets partitions: its own records are folded, and what was committed and is not answered is read again.

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use super::tail::{admitted, has_reached};
use super::work::{After, WAIT};
use super::{Command, Core, Driver, Event, Failure, Reader, Stage, Wants, before};
use crate::fence::TermFence;
use crate::intact::{Bounds, Fault};
use crate::machine::{Delivered, Machine, Position};
use crate::message::Topic;
use crate::ports::{Assignment, Commit, Fetched};

/// Partitions that are being taken over.
pub(super) struct Assigning {
    partitions: Vec<u32>,
    /// What is read, the first one now.
    scans: VecDeque<Scan>,
    /// What was committed, and was not compared yet with what the machine's own records say.
    commits: VecDeque<Commit>,
}

/// A stretch of a partition is read.
struct Scan {
    from: Position,
    /// It ends here, or where the log ends before it; `None`: where the log ends.
    until: Option<Position>,
    /// Known once the reader is open.
    end: Option<Position>,
    is_done: bool,
    /// Somebody has said that it may go on without the records that it misses.
    may_miss: bool,
    purpose: Purpose,
}

enum Purpose {
    /// To know which records count from there on, as the note of a commit does not say it.
    Learn(TermFence),
    /// To fold the machine's own records of a partition.
    Recover { fence: TermFence, count: u64, began: Duration },
    /// To know which records of a gap count: the one before it does, and mostly says it all.
    Before(Gap, Option<TermFence>),
    /// The same, from all records before the gap.
    FromFirst(Gap, TermFence),
    /// To handle the records of a gap.
    Handle(TermFence),
}

/// Records below a commit of which the machine's own records do not say that they were handled.
#[derive(Clone, Copy)]
struct Gap {
    from: Position,
    until: Position,
}

impl Scan {
    const fn new(from: Position, until: Option<Position>, purpose: Purpose) -> Self {
        Self { from, until, end: None, is_done: false, may_miss: false, purpose }
    }

    /// All records before `at`.
    const fn before(at: Position, purpose: Purpose) -> Self {
        Self::new(Position { offset: 0, ..at }, Some(at), purpose)
    }

    fn of_gap(gap: Gap) -> Self {
        let from = gap.from;
        if from.topic != Topic::InventoryEvents || from.offset == 0 {
            return Self::handle(gap, TermFence::default());
        }
        let last = Position { offset: from.offset - 1, ..from };
        Self::new(last, Some(from), Purpose::Before(gap, None))
    }

    const fn handle(gap: Gap, fence: TermFence) -> Self {
        Self::new(gap.from, Some(gap.until), Purpose::Handle(fence))
    }

    /// Whether where it begins depends on what the log keeps.
    fn begins_within(&self, machine: &impl Machine) -> bool {
        match self.purpose {
            Purpose::Learn(_) | Purpose::FromFirst(..) => true,
            Purpose::Recover { .. } => machine.looks_back().is_some(),
            Purpose::Before(..) | Purpose::Handle(_) => false,
        }
    }

    /// The log keeps this of the partition.
    fn begin_within(&mut self, kept: Bounds, machine: &impl Machine) {
        match &mut self.purpose {
            Purpose::Learn(fence) | Purpose::FromFirst(_, fence) if kept.first > 0 => {
                self.from.offset = kept.first;
                fence.begin_at_cut(self.from.partition);
            }
            Purpose::Recover { .. } => {
                self.from = before(self.from, &kept, machine.looks_back().unwrap_or(kept.end));
            }
            _ => {}
        }
    }

    /// What is wrong where the records before it are gone, and what it has read does not say which records count from there on.
    fn misses(&self) -> Option<Fault> {
        let (Purpose::Learn(fence) | Purpose::FromFirst(_, fence)) = &self.purpose else { return None };
        let Position { partition, offset: found, .. } = self.from;
        let has_read = self.until.is_some_and(|until| until > self.from);
        let misses = found > 0 && has_read && fence.note(partition).is_empty();
        misses.then_some(Fault::Cut { partition, wanted: 0, found })
    }

    /// Its reader is open; the partition ends here.
    fn open(&mut self, ends: &[Position]) {
        let end = ends.first().or(self.until.as_ref()).copied().unwrap_or(self.from);
        let end = self.until.map_or(end, |until| end.min(until));
        self.end = Some(end);
        self.is_done = self.from >= end;
    }

    /// Whether a reader that stands at `next` has read it.
    fn is_read(&self, next: &[Position]) -> bool {
        self.end.is_some_and(|end| has_reached(next, &[end]))
    }
}

impl Assigning {
    pub(super) fn wants<M: Machine, R>(&self, core: &Core<M, R>) -> Wants {
        let open = self.scans.front().is_some_and(|scan| scan.end.is_some());
        let full = self.is_full(core);
        let wake = full.then(|| (core.stopwatch)() + core.until_tick());
        Wants { scan: open && !full, output: full, wake, wait: WAIT, ..Wants::default() }
    }

    /// What the machine waits for is bounded here, too, if it is handed records: then only what it reads of its own output, and a tick
    /// that this sets off, takes it further.
    fn is_full<M: Machine, R>(&self, core: &Core<M, R>) -> bool {
        let handles = |scan: &Scan| matches!(scan.purpose, Purpose::Handle(_));
        self.scans.front().is_some_and(handles)
            && core.tail.is_some()
            && core.machine.in_hand() >= core.limits.in_hand
    }
}

impl<M: Machine, R> Driver<M, R> {
    /// Recovers these partitions from the machine's own records.
    pub(super) fn assigned(&mut self, assigned: Vec<Assignment>) -> Result<(), Failure> {
        let Core { machine, service, inputs, observer, .. } = &mut self.core;
        let output = service.output();
        let mut scans = VecDeque::new();
        for assignment in &assigned {
            if let Some(at) = inputs.assigned(assignment, service.inputs()) {
                observer.unknown_note(*service, at);
                scans.push_back(Scan::before(at, Purpose::Learn(TermFence::default())));
            }
            machine.assigned(assignment.partition);
        }
        let partitions: Vec<u32> = assigned.iter().map(|assignment| assignment.partition).collect();
        for partition in partitions.iter().copied() {
            if partition < output.partitions() {
                let first = Position { topic: output, partition, offset: 0 };
                let began = Duration::ZERO;
                let purpose = Purpose::Recover { fence: TermFence::default(), count: 0, began };
                scans.push_back(Scan::new(first, None, purpose));
            } else {
                observer.recovered(*service, partition, 0, Duration::ZERO);
            }
        }
        let commits = assigned.into_iter().flat_map(|assignment| assignment.committed).collect();
        self.scan_next(Box::new(Assigning { partitions, scans, commits }))
    }

    /// Reads what is to be read next, or goes on with what comes after that.
    fn scan_next(&mut self, mut assigning: Box<Assigning>) -> Result<(), Failure> {
        if let Some(scan) = assigning.scans.front_mut() {
            if let Purpose::Recover { began, .. } = &mut scan.purpose {
                *began = (self.core.stopwatch)();
            }
            let from = vec![scan.from];
            self.core.commands.push_back(if scan.begins_within(&self.core.machine) {
                Command::Bounds(from)
            } else {
                Command::Open(Reader::Scan, from)
            });
            self.stage = Stage::Assigning(assigning);
            return Ok(());
        }
        if assigning.partitions.is_empty() {
            return self.read_again(assigning);
        }
        for partition in mem::take(&mut assigning.partitions) {
            let (batch, machine, clock) = self.core.batch();
            batch.recovered(machine, clock, partition);
        }
        self.settle(After::Recovered(assigning))
    }

    /// Finds what was committed and what the machine's own records do not answer.
    pub(super) fn read_again(&mut self, mut assigning: Box<Assigning>) -> Result<(), Failure> {
        while let Some(Commit { next, .. }) = assigning.commits.pop_front() {
            let at = |offset| Position { offset, ..next };
            let auditor = self.core.machine.auditor();
            let unanswered =
                auditor.map(|auditor| auditor.unanswered(next.topic, next.partition, next.offset));
            for gap in unanswered.unwrap_or_default() {
                let gap = Gap { from: at(gap.start), until: at(gap.end) };
                assigning.scans.push_back(Scan::of_gap(gap));
            }
            if !assigning.scans.is_empty() {
                return self.scan_next(assigning);
            }
        }
        self.settled_in = true;
        self.core.status.ready = self.clock_off.is_none();
        self.next_batch()
    }

    /// Goes on in the stretch that is read, whose records so far are dealt with.
    pub(super) fn read_on(&mut self, mut assigning: Box<Assigning>) -> Result<(), Failure> {
        let Some(scan) = assigning.scans.pop_front_if(|scan| scan.is_done) else {
            self.stage = Stage::Assigning(assigning);
            return Ok(());
        };
        self.core.command(Command::Close(Reader::Scan));
        if let Some(fault) = scan.misses().filter(|_| !scan.may_miss) {
            self.core.command(Command::Contradict(scan.from.topic, fault));
            assigning.scans.push_front(Scan { end: None, is_done: false, may_miss: true, ..scan });
            self.stage = Stage::Assigning(assigning);
            return Ok(());
        }
        match scan.purpose {
            Purpose::Learn(fence) => {
                if let Some(at) = scan.until {
                    self.core.inputs.learn(at, &fence);
                }
            }
            Purpose::Recover { count, began, .. } => {
                let Core { observer, service, stopwatch, .. } = &self.core;
                observer.recovered(*service, scan.from.partition, count, stopwatch().saturating_sub(began));
            }
            Purpose::Before(gap, Some(fence)) | Purpose::FromFirst(gap, fence) => {
                assigning.scans.push_front(Scan::handle(gap, fence));
            }
            Purpose::Before(gap, None) => {
                let from_first = Purpose::FromFirst(gap, TermFence::default());
                assigning.scans.push_front(Scan::before(gap.from, from_first));
            }
            Purpose::Handle(_) => {}
        }
        self.scan_next(assigning)
    }

    /// Whatever happens while partitions are taken over.
    pub(super) fn assign(&mut self, event: Event<'_, M, R>) -> Result<(), Failure> {
        if let Event::Records(Reader::Output, records, next) = event {
            return self.follow(records, next);
        }
        let Stage::Assigning(mut assigning) = mem::replace(&mut self.stage, Stage::Ready) else {
            return Ok(());
        };
        let full = assigning.is_full(&self.core);
        match (assigning.scans.front_mut(), event) {
            (_, Event::Flush) if full && self.core.machine.next_tick().is_some() => {
                let (batch, machine, clock) = self.core.batch();
                batch.tick(machine, clock);
                return self.settle(After::Again(assigning));
            }
            (Some(scan), Event::Bounds(kept)) => {
                kept.first().into_iter().for_each(|kept| scan.begin_within(*kept, &self.core.machine));
                self.core.commands.push_back(Command::Open(Reader::Scan, vec![scan.from]));
            }
            (Some(scan), Event::Contradicted(outcome)) => {
                outcome?;
                scan.is_done = true;
            }
            (Some(scan), Event::Opened(ends)) => scan.open(ends),
            (Some(scan), Event::Records(Reader::Scan, records, next)) => {
                scan.is_done = scan.is_read(next);
                if let Purpose::Handle(fence) = &mut scan.purpose {
                    let before = scan.end.unwrap_or(scan.from);
                    self.core.handle_again(records, before, fence);
                    return self.settle(After::Again(assigning));
                }
                self.core.scan(scan, records);
            }
            _ => {}
        }
        self.read_on(assigning)
    }
}

impl<M: Machine, R> Core<M, R> {
    /// Takes in what was read to know more.
    fn scan(&mut self, scan: &mut Scan, records: &[Fetched]) {
        let Self { machine, service, observer, clock, .. } = self;
        machine.set_clock(clock.now());
        match &mut scan.purpose {
            Purpose::Learn(fence) | Purpose::FromFirst(_, fence) => {
                let end = scan.end.unwrap_or(scan.from);
                for record in understood(records).filter(|record| record.at < end) {
                    // Whether it counts is of no interest here: that it was shown is.
                    let _ = fence.admits(record);
                }
            }
            Purpose::Recover { fence, count, .. } => {
                *count += records.len() as u64;
                admitted(records, *service, observer.as_ref(), fence).for_each(|record| machine.fold(record));
            }
            Purpose::Before(_, found) => {
                let Some(first) = records.first() else { return };
                if let Fetched::Record(record) = first
                    && record.at == scan.from
                    && let Some(writer) = record.message.writer.as_deref()
                {
                    found.insert(TermFence::default()).elected(record.at.partition, writer);
                }
                scan.is_done = true;
            }
            Purpose::Handle(_) => {}
        }
    }

    /// Hands the machine once more those of `records` that lie before `end`.
    fn handle_again(&mut self, records: &[Fetched], end: Position, fence: &mut TermFence) {
        let (batch, machine, clock) = self.batch();
        for fetched in records.iter().filter(|fetched| fetched.at() < end) {
            match fetched {
                Fetched::Unreadable(record) => batch.unreadable(machine, clock, record),
                Fetched::Record(record) => {
                    if record.at.topic != Topic::InventoryEvents || fence.admits(record) {
                        batch.handle(machine, clock, record);
                    }
                }
            }
        }
    }
}

/// Those of `records` that are understood.
pub(super) fn understood(records: &[Fetched]) -> impl Iterator<Item = &Delivered> {
    records.iter().filter_map(Fetched::record)
}
