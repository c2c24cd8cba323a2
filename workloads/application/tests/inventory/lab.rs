//! Inventory processes on one log: several at a time, each behind in its own way, any of them dying at any moment.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use kbnt_application::event::{RecordedEvent, Writer};
use kbnt_application::fence::TermFence;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::machine::Halt;
use kbnt_application::message::partition_of;
use kbnt_application::{
    Append, Delivered, Machine, Message, Outbox, Position, Route, Service, SoleWriter, Topic, Trace,
};
use kbnt_domain::{EventId, Span, Timestamp};

use crate::books::Books;

pub(crate) const PARTITIONS: usize = 3;
const OUTPUT: Topic = Topic::InventoryEvents;
pub(crate) const TTL: Span = Span::from_minutes(15);

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Electing,
    Active,
    Halted,
}

/// One process: a machine, and what a runtime holds for it.
pub(crate) struct Process {
    pub(crate) machine: InventoryMachine,
    pub(crate) stage: Stage,
    /// How its clock is off, in milliseconds.
    skew: u64,
    fence: TermFence,
    read: [usize; PARTITIONS],
    elected: BTreeSet<usize>,
    next: BTreeMap<(Topic, u32), usize>,
    /// Written and not in the log yet.
    in_flight: [VecDeque<Append>; PARTITIONS],
}

/// The log and its processes.
#[derive(Default)]
pub(crate) struct Lab {
    pub(crate) now: Timestamp,
    pub(crate) inputs: BTreeMap<(Topic, u32), Vec<Delivered>>,
    pub(crate) log: [Vec<Delivered>; PARTITIONS],
    pub(crate) processes: Vec<Process>,
    started: usize,
}

fn number(p: usize) -> u32 {
    u32::try_from(p).unwrap()
}

fn partition(append: &Append) -> usize {
    let partition = match &append.route {
        Route::Key(key) => partition_of(key, number(PARTITIONS)),
        Route::Partition(partition) => *partition,
    };
    partition as usize
}

fn delivered(append: &Append, p: usize, offset: usize) -> Delivered {
    let at = Position { topic: OUTPUT, partition: number(p), offset: offset as u64 };
    Delivered { at, message: Arc::clone(&append.message), source: append.source, raw: None }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self { now: Timestamp::from_millis(1_000_000_000_000), ..Self::default() }
    }

    /// Another service writes a record about an order; `id` tells repetitions.
    pub(crate) fn input(&mut self, topic: Topic, id: &str, event: impl Into<RecordedEvent>) -> Position {
        let event = event.into();
        let key = kbnt_application::message::Subject::of(&event).key().unwrap();
        let id = EventId::named(id);
        let service = Service::ALL.into_iter().find(|service| service.output() == topic).unwrap();
        let (at, trace) = (self.now, Trace::root(&id));
        let message = Message { id, at, service, cause: None, trace, writer: None, event };
        self.deliver(topic, partition_of(key, 3), Arc::new(message))
    }

    fn deliver(&mut self, topic: Topic, partition: u32, message: Arc<Message>) -> Position {
        let lane = self.inputs.entry((topic, partition)).or_default();
        let at = Position { topic, partition, offset: lane.len() as u64 };
        lane.push(Delivered { at, message, source: None, raw: None });
        at
    }

    /// The sender repeats a record.
    pub(crate) fn repeat(&mut self, which: usize) {
        let all: Vec<_> = self.inputs.values().flatten().cloned().collect();
        if !all.is_empty() {
            let record = &all[which % all.len()];
            self.deliver(record.at.topic, record.at.partition, Arc::clone(&record.message));
        }
    }

    /// Starts a process, which folds what there is and stands for election.
    pub(crate) fn start(&mut self, skew: u64) -> usize {
        self.started += 1;
        let mut config = InventoryConfig::new(format!("writer-{}", self.started));
        config.ttl = TTL;
        config.low_stock_threshold = 3;
        let mut process = Process {
            machine: InventoryMachine::new(config),
            stage: Stage::Electing,
            skew,
            fence: TermFence::default(),
            read: [0; PARTITIONS],
            elected: BTreeSet::new(),
            next: BTreeMap::new(),
            in_flight: Default::default(),
        };
        for p in 0..PARTITIONS {
            process.machine.assigned(number(p));
            for record in &self.log[p] {
                if process.fence.admits(record) {
                    process.machine.fold(record);
                }
            }
            process.read[p] = self.log[p].len();
        }
        process.step(self.now, InventoryMachine::elect);
        self.processes.push(process);
        self.processes.len() - 1
    }

    /// The next `records` of a process's writes to a partition reach the log.
    pub(crate) fn flush(&mut self, which: usize, p: usize, records: usize) {
        let in_flight = &mut self.processes[which].in_flight[p];
        for append in in_flight.drain(..records.min(in_flight.len())) {
            let offset = self.log[p].len();
            self.log[p].push(delivered(&append, p, offset));
        }
    }

    /// A process reads the next `records` of a partition.
    pub(crate) fn follow(&mut self, which: usize, p: usize, records: usize) {
        let process = &mut self.processes[which];
        let until = self.log[p].len().min(process.read[p] + records);
        for record in &self.log[p][process.read[p]..until] {
            process.read_back(record, self.now);
        }
        process.read[p] = until;
    }

    /// A process handles its next input of a lane.
    pub(crate) fn handle(&mut self, which: usize, lane: (Topic, u32)) {
        let process = &mut self.processes[which];
        let next = process.next.get(&lane).copied().unwrap_or(0);
        let record = self.inputs.get(&lane).and_then(|records| records.get(next)).cloned();
        if let (Stage::Active, Some(record)) = (process.stage, record) {
            process.next.insert(lane, next + 1);
            process.step(self.now, |machine, outbox| machine.handle(&record, outbox));
        }
    }

    pub(crate) fn tick(&mut self, which: usize) {
        let process = &mut self.processes[which];
        let due = process.machine.next_tick().is_some_and(|at| at <= process.time(self.now));
        if process.stage == Stage::Active && due {
            process.step(self.now, InventoryMachine::tick);
        }
    }

    /// Calls a process from outside.
    pub(crate) fn call<R>(
        &mut self,
        which: usize,
        f: impl FnOnce(&mut InventoryMachine, &mut Outbox) -> R,
    ) -> R {
        self.processes[which].step(self.now, f)
    }

    /// A process dies; so much of what it has written still reaches the log.
    pub(crate) fn crash(&mut self, which: usize, kept: [usize; PARTITIONS]) {
        for (p, kept) in kept.into_iter().enumerate() {
            let of = self.processes[which].in_flight[p].len() + 1;
            self.flush(which, p, kept % of);
        }
        self.processes.remove(which);
    }

    /// A process does all that it can: writes, reads, handles and ticks, until nothing is left.
    pub(crate) fn settle(&mut self, which: usize) {
        for _ in 0..1000 {
            let before = (self.log.iter().map(Vec::len).sum::<usize>(), self.processes[which].next.clone());
            for p in 0..PARTITIONS {
                self.flush(which, p, usize::MAX);
            }
            for p in 0..PARTITIONS {
                self.follow(which, p, usize::MAX - self.processes[which].read[p]);
            }
            self.tick(which);
            for lane in self.inputs.keys().copied().collect::<Vec<_>>() {
                self.handle(which, lane);
            }
            let after = (self.log.iter().map(Vec::len).sum::<usize>(), self.processes[which].next.clone());
            let idle = self.processes[which].in_flight.iter().all(VecDeque::is_empty);
            if before == after && idle {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// What counts: told naively, without the fence that the machines use. Records that are there twice count once.
    pub(crate) fn effective(&self) -> Vec<Delivered> {
        self.log.iter().flat_map(|records| effective(records)).collect()
    }

    pub(crate) fn books(&self) -> Books {
        let records = self.effective();
        books_of(&records)
    }

    /// The books if so much of what a process has in flight reaches the log, and nothing more of any.
    pub(crate) fn books_after(&self, which: usize, kept: [usize; PARTITIONS]) -> Books {
        let mut records = Vec::new();
        for (p, kept) in kept.into_iter().enumerate() {
            let mut log = self.log[p].clone();
            let in_flight = &self.processes[which].in_flight[p];
            for append in in_flight.iter().take(kept % (in_flight.len() + 1)) {
                log.push(delivered(append, p, log.len()));
            }
            records.extend(effective(&log));
        }
        books_of(&records)
    }
}

fn books_of(records: &[Delivered]) -> Books {
    Books::of(records.iter().filter_map(|record| Some((record.message.at, record.message.event.business()?))))
}

fn effective(records: &[Delivered]) -> Vec<Delivered> {
    let mut seen: BTreeMap<EventId, RecordedEvent> = BTreeMap::new();
    let mut newest = Writer { term: 0, name: String::new() };
    let mut counted = Vec::new();
    for record in records {
        let writer = Writer::clone(record.message.writer.as_ref().expect("signed"));
        if let RecordedEvent::WriterElected(elected) = &record.message.event {
            assert_eq!(elected.writer, writer);
            newest = newest.max(writer);
        } else if writer == newest {
            let event = &record.message.event;
            match seen.insert(record.message.id, event.clone()) {
                Some(before) => assert_eq!(before, *event, "two events under one id"),
                None => counted.push(record.clone()),
            }
        } else {
            assert!(writer < newest, "written before its election");
        }
    }
    counted
}

impl Process {
    fn time(&self, now: Timestamp) -> Timestamp {
        now + Span::from_millis(self.skew)
    }

    fn step<R>(&mut self, now: Timestamp, f: impl FnOnce(&mut InventoryMachine, &mut Outbox) -> R) -> R {
        let mut outbox = Outbox::new(Service::Inventory, self.time(now));
        let answer = f(&mut self.machine, &mut outbox);
        assert!(!matches!(self.machine.halted(), Some(Halt::Broken(_))), "{:?}", self.machine.halted());
        let (appends, effects) = outbox.take();
        assert!(effects.is_empty());
        for append in appends {
            self.in_flight[partition(&append)].push_back(append);
        }
        answer
    }

    fn read_back(&mut self, record: &Delivered, now: Timestamp) {
        if !self.fence.admits(record) {
            return;
        }
        match self.stage {
            Stage::Halted => {}
            Stage::Active => {
                self.machine.follow(record);
                if self.machine.halted().is_some() {
                    self.stage = Stage::Halted;
                }
            }
            Stage::Electing => {
                self.machine.fold(record);
                let RecordedEvent::WriterElected(elected) = &record.message.event else { return };
                match Some(&elected.writer).cmp(&self.machine.writer()) {
                    // Of before: the election of this process comes after it.
                    Ordering::Less => {}
                    Ordering::Equal => {
                        self.elected.insert(record.at.partition as usize);
                    }
                    Ordering::Greater => {
                        self.elected.clear();
                        self.step(now, InventoryMachine::elect);
                    }
                }
                if self.elected.len() == PARTITIONS {
                    for p in 0..PARTITIONS {
                        self.step(now, |machine, outbox| machine.recovered(number(p), outbox));
                    }
                    let resume = self.machine.resume();
                    let next = |at: Position| ((at.topic, at.partition), usize::try_from(at.offset).unwrap());
                    self.next = resume.into_iter().map(next).collect();
                    self.stage = Stage::Active;
                }
            }
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.iter().all(VecDeque::is_empty)
    }
}
