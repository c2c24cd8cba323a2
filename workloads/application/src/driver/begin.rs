//! How a machine comes to work: as a member of its group, or as the elected writer.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::time::Duration;

use kbnt_domain::Timestamp;

use super::restore::{ENDS_BEFORE, Search};
use super::tail::{Tail, admitted};
use super::work::{After, WAIT};
use super::{Command, Core, Driver, Event, Failure, Reader, Stage, Wants, before, beginning};
use crate::event::RecordedEvent;
use crate::intact::{Bounds, Fault};
use crate::machine::{Follows, ImageOf, Machine, Position, SoleWriter};
use crate::message::Topic;
use crate::ports::{Fetched, LogError, Mark, Snapshot};

/// What a machine that comes to work waits for.
pub(super) enum Begin<M: Machine> {
    /// The first event.
    Started,
    /// What the log keeps of the output topic, of which a member looks back over so many records.
    LookingBack(u64),
    /// The output topic is read up to where it ended: followed by a member, folded by a writer.
    Folding(Folding),
    /// What the log keeps of the partitions in which the machine's own records say that there was more.
    Witnessing(Vec<Position>),
    /// Whether it may decide although some of them are short; what the first of these partitions came to.
    Contradicted(VecDeque<(Topic, Fault)>, Result<(), LogError>),
    Joining,
    /// The snapshot before so many newer ones.
    Loading(usize),
    /// What the log keeps of the partitions that a snapshot needs.
    Needing(usize, Box<Snapshot<ImageOf<M>>>),
    /// Whether it may decide although the log ends before a snapshot.
    Short(usize),
    /// The last records of a snapshot.
    Searching(usize, Box<Search<ImageOf<M>>>),
    /// Its turn to write.
    StandingBy,
    /// The reader of its inputs.
    OpeningInputs(Vec<Position>),
    /// Its elections are read back.
    Electing(Elections),
}

/// How far a topic is folded at the start.
#[derive(Default)]
pub(super) struct Folding {
    /// Where it ended; not known before its reader is open.
    pub(super) ends: Option<Vec<Position>>,
    pub(super) count: u64,
    pub(super) since: Duration,
    pub(super) newest: Option<Timestamp>,
}

/// Elections that were written, and are to be read back.
pub(super) struct Elections {
    term: Option<u64>,
    marks: BTreeMap<u32, Mark>,
    ends: Vec<Position>,
    won: usize,
}

impl<M: Machine> Begin<M> {
    pub(super) fn wants(&self) -> Wants {
        let output = match self {
            Self::Folding(folding) => folding.ends.is_some(),
            Self::Searching(_, search) => search.is_open,
            Self::StandingBy | Self::Electing(_) => true,
            _ => false,
        };
        Wants { output, wait: WAIT, ..Wants::default() }
    }
}

impl<M: Machine, R> Driver<M, R> {
    /// Whatever happens before the machine is at work.
    pub(super) fn begin(&mut self, event: Event<'_, M, R>) -> Result<(), Failure> {
        let Stage::Begin(begin) = mem::replace(&mut self.stage, Stage::Ready) else { return Ok(()) };
        match (begin, event) {
            (Begin::Started, Event::Begin) => self.start(),
            (Begin::LookingBack(records), Event::Bounds(kept)) => {
                let first = beginning(self.core.service.output()).into_iter().zip(kept);
                self.fold_from(first.map(|(at, kept)| before(at, kept, records)).collect());
            }
            (Begin::Folding(folding), Event::Opened(ends)) => {
                self.fold_on(Folding { ends: Some(ends.to_vec()), ..folding });
            }
            (Begin::Folding(mut folding), Event::Records(Reader::Output, records, next)) => {
                self.core.reached(records, next);
                self.core.take_up(&mut folding, records);
                self.core.check()?;
                self.fold_on(folding);
            }
            (Begin::Witnessing(wanted), Event::Bounds(kept)) => self.witness(&wanted, kept)?,
            (Begin::Contradicted(more, so_far), Event::Contradicted(outcome)) => {
                // Every partition is made known; the first one ends it.
                self.contradict(more, so_far.and(outcome))?;
            }
            (Begin::Joining, Event::Joined) => self.next_batch()?,
            (Begin::Loading(before), Event::Loaded(loaded)) => self.loaded(before, loaded),
            (Begin::Needing(before, snapshot), Event::Bounds(kept)) => self.needed(before, snapshot, kept),
            (Begin::Short(before), Event::Contradicted(outcome)) => {
                outcome?;
                self.refuse_snapshot(before, ENDS_BEFORE);
            }
            (Begin::Searching(before, mut search), Event::Opened(ends)) => {
                search.open(ends);
                self.search_on(before, search);
            }
            (Begin::Searching(before, search), Event::Records(Reader::Output, records, next)) => {
                self.search(before, search, records, next);
            }
            (Begin::StandingBy, Event::Records(Reader::Output, records, next)) => {
                self.core.reached(records, next);
                self.core.stand_by(records);
                self.core.check()?;
                self.await_in(Begin::StandingBy);
            }
            (Begin::StandingBy, Event::Turn) => self.open_inputs(),
            (Begin::OpeningInputs(from), Event::Opened(_)) => {
                self.core.inputs.all(&from);
                self.stand_for_election()?;
            }
            (Begin::Electing(elections), Event::Records(Reader::Output, records, next)) => {
                self.read_elections(elections, records, next)?;
            }
            (begin, _) => self.await_in(begin),
        }
        Ok(())
    }

    pub(super) fn await_in(&mut self, begin: Begin<M>) {
        self.stage = Stage::Begin(begin);
    }

    fn start(&mut self) {
        let Core { machine, clock, service, .. } = &mut self.core;
        machine.set_clock(clock.now());
        if machine.sole_writer().is_some() {
            for at in beginning(service.output()) {
                machine.assigned(at.partition);
            }
            return self.load_or_fold();
        }
        match (machine.follows(), machine.looks_back()) {
            (Follows::Nothing, _) => self.join(),
            (Follows::Newest, Some(records)) => {
                self.core.command(Command::Bounds(beginning(self.core.service.output())));
                self.await_in(Begin::LookingBack(records));
            }
            (Follows::Newest, None) | (Follows::Everything, _) => self.load_or_fold(),
        }
    }

    fn load_or_fold(&mut self) {
        if self.snapshots.is_some() && self.core.machine.imaged().is_some() {
            self.load(0);
        } else {
            self.fold_all();
        }
    }

    /// Folds the output topic from its first record on.
    pub(super) fn fold_all(&mut self) {
        self.fold_from(beginning(self.core.service.output()));
    }

    fn fold_from(&mut self, first: Vec<Position>) {
        self.core.tail = Some(Tail::new(&first));
        self.core.command(Command::Open(Reader::Output, first));
        let since = (self.core.stopwatch)();
        self.await_in(Begin::Folding(Folding { since, ..Folding::default() }));
    }

    /// Goes on to fold, or with what comes after that.
    pub(super) fn fold_on(&mut self, folding: Folding) {
        let reached = |tail: &Tail<R>| folding.ends.as_ref().is_some_and(|ends| tail.has_reached(ends));
        if !self.core.tail.as_ref().is_some_and(reached) {
            self.await_in(Begin::Folding(folding));
            return;
        }
        if let Some(newest) = folding.newest {
            self.core.clock.log_says(newest);
        }
        if self.core.machine.sole_writer().is_none() {
            let auditor = self.core.machine.auditor();
            let mut wanted = auditor.map(|auditor| auditor.witnessed()).unwrap_or_default();
            wanted.retain(|at| at.partition < at.topic.partitions());
            if wanted.is_empty() {
                self.join();
                return;
            }
            self.core.command(Command::Bounds(wanted.clone()));
            self.await_in(Begin::Witnessing(wanted));
            return;
        }
        let took = (self.core.stopwatch)().saturating_sub(folding.since);
        self.core.observer.recovered(self.core.service, 0, folding.count, took);
        if self.led {
            self.core.status.standing_by = true;
            self.core.command(Command::AwaitTurn);
            self.await_in(Begin::StandingBy);
            return;
        }
        self.open_inputs();
    }

    /// Finds out whether all is there that was, as the machine's own records say. Other services need not know of it: where all event
    /// stores are gone and nothing beside them says so, this is the only witness.
    fn witness(&mut self, wanted: &[Position], kept: &[Bounds]) -> Result<(), Failure> {
        let short = wanted.iter().zip(kept).filter(|(wanted, kept)| kept.end < wanted.offset);
        let fault = |(wanted, kept): (&Position, &Bounds)| {
            let Position { topic, partition, offset: wanted } = *wanted;
            (topic, Fault::Short { partition, wanted, found: kept.end })
        };
        self.contradict(short.map(fault).collect(), Ok(()))
    }

    fn contradict(
        &mut self,
        mut more: VecDeque<(Topic, Fault)>,
        so_far: Result<(), LogError>,
    ) -> Result<(), Failure> {
        let Some((topic, fault)) = more.pop_front() else {
            so_far?;
            self.join();
            return Ok(());
        };
        self.core.command(Command::Contradict(topic, fault));
        self.await_in(Begin::Contradicted(more, so_far));
        Ok(())
    }

    fn join(&mut self) {
        self.core.command(Command::Join);
        self.await_in(Begin::Joining);
    }

    /// Opens the inputs before it is elected, so that a writer whose inputs are not all there leaves the one before it at work.
    fn open_inputs(&mut self) {
        let inputs = self.core.service.inputs();
        let mut from: Vec<Position> = inputs.iter().copied().flat_map(beginning).collect();
        let resumed = self.core.machine.sole_writer().map(|writer| writer.resume()).unwrap_or_default();
        let settled = self.snapshots.as_ref().map_or(&[][..], |snapshots| snapshots.inputs());
        for next in resumed.iter().chain(settled) {
            let here = |at: &&mut Position| at.topic == next.topic && at.partition == next.partition;
            if let Some(position) = from.iter_mut().find(here) {
                position.offset = position.offset.max(next.offset);
            }
        }
        self.core.command(Command::Open(Reader::Input, from.clone()));
        self.await_in(Begin::OpeningInputs(from));
    }

    fn stand_for_election(&mut self) -> Result<(), Failure> {
        let Core { machine, clock, .. } = &mut self.core;
        machine.set_clock(clock.now());
        let (batch, machine, clock) = self.core.batch();
        batch.elect(machine, clock);
        let term = batch.appends.iter().find_map(|append| match &append.message.event {
            RecordedEvent::WriterElected(elected) => Some(elected.writer.term),
            _ => None,
        });
        self.settle(After::Election(term))
    }

    /// The elections are written: folds up to them.
    pub(super) fn await_elections(&mut self, marks: BTreeMap<u32, Mark>, term: Option<u64>) {
        let after = |mark: &Mark| Position { offset: mark.at.offset + 1, ..mark.at };
        let ends = marks.values().map(after).collect();
        self.stage = Stage::Begin(Begin::Electing(Elections { term, marks, ends, won: 0 }));
    }

    /// Folds up to the elections. Where a newer one is met on the way it stands once more, else it goes to work.
    fn read_elections(
        &mut self,
        mut elections: Elections,
        records: &[Fetched],
        next: &[Position],
    ) -> Result<(), Failure> {
        let Core { machine, tail, service, observer, clock, .. } = &mut self.core;
        let Some(tail) = tail else { return Ok(()) };
        tail.reached(records, next);
        machine.set_clock(clock.now());
        for record in admitted(records, *service, observer.as_ref(), &mut tail.fence) {
            let election = elections.marks.get(&record.at.partition).map_or(u64::MAX, |mark| mark.at.offset);
            elections.won += usize::from(record.at.offset == election);
            if record.at.offset <= election { machine.fold(record) } else { machine.follow(record) }
        }
        if !tail.has_reached(&elections.ends) {
            self.await_in(Begin::Electing(elections));
            return Ok(());
        }
        if elections.won < elections.marks.len() {
            return self.stand_for_election();
        }
        if let Some(term) = elections.term {
            observer.elected(*service, term);
        }
        for at in beginning(self.core.service.output()) {
            let (batch, machine, clock) = self.core.batch();
            batch.recovered(machine, clock, at.partition);
        }
        self.settle(After::Elected(elections.marks))
    }

    /// The elected writer's first records are durable.
    pub(super) fn go_to_work(&mut self) -> Result<(), Failure> {
        self.settled_in = true;
        (self.core.status.ready, self.core.status.standing_by) = (true, false);
        self.core.status.version += 1;
        if let Some(snapshots) = &mut self.snapshots {
            snapshots.begin((self.core.stopwatch)());
        }
        self.next_batch()
    }
}

impl<M: Machine, R> Core<M, R> {
    /// The reader of the output topic has read these records, and stands here now.
    pub(super) fn reached(&mut self, records: &[Fetched], next: &[Position]) {
        if let Some(tail) = &mut self.tail {
            tail.reached(records, next);
        }
    }

    /// Takes in records of the output topic at the start.
    pub(super) fn take_up(&mut self, folding: &mut Folding, records: &[Fetched]) {
        let Self { machine, tail, service, observer, clock, .. } = self;
        let Some(tail) = tail else { return };
        folding.count += records.len() as u64;
        // The present writer goes on while this takes its time.
        machine.set_clock(clock.now());
        let folds = machine.sole_writer().is_some();
        for record in admitted(records, *service, observer.as_ref(), &mut tail.fence) {
            folding.newest = Some(record.message.at);
            if folds { machine.fold(record) } else { machine.follow(record) }
        }
    }

    /// Folds what the present writer writes.
    fn stand_by(&mut self, records: &[Fetched]) {
        let Self { machine, tail, service, observer, clock, .. } = self;
        let Some(tail) = tail else { return };
        machine.set_clock(clock.now());
        for record in admitted(records, *service, observer.as_ref(), &mut tail.fence) {
            clock.log_says(record.message.at);
            machine.fold(record);
        }
    }
}
