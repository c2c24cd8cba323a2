//! A driver on a log in memory that does what it is asked for, unless a test does it itself.

mod inputs;
mod member;
mod snapshots;
mod toy;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use kbnt_domain::{EventId, OrderId, Timestamp};

use self::toy::Toy;
use super::{Attempt, Command, Driver, Event, Failure, Limits, Reader, Setup, Wants};
use crate::event::{RecordedEvent, Writer, WriterElected};
use crate::intact::{Bounds, Fault};
use crate::machine::{Append, Delivered, Effect, Outbox, PaymentOutcome, Position};
use crate::message::{Classification, Message, Topic, Trace};
use crate::ports::{Assignment, Clock, Commit, Fetched, NoObserver, Snapshot};
use crate::testkit::at;

/// A clock that tests set.
#[derive(Default)]
struct Hand {
    now: AtomicI64,
    off: AtomicI64,
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(self.now.load(Ordering::Relaxed))
    }

    fn off_by(&self) -> Option<i64> {
        Some(self.off.load(Ordering::Relaxed)).filter(|off| *off != 0)
    }
}

/// A driver, its log and what came of its commands.
struct Carrier {
    driver: Driver<Toy, &'static str>,
    clock: Arc<Hand>,
    log: BTreeMap<(Topic, u32), Vec<Fetched>>,
    /// Where the log was cut.
    first: BTreeMap<(Topic, u32), u64>,
    output: Vec<Position>,
    scan: Vec<Position>,
    /// Appends are kept here instead of being done.
    holds_appends: bool,
    held: VecDeque<Arc<Vec<Append>>>,
    opened: Vec<(Reader, Vec<Position>)>,
    started: Vec<(Attempt, Effect)>,
    committed: Vec<Commit>,
    answered: Vec<&'static str>,
    refused: Vec<&'static str>,
    snapshots: Vec<Snapshot<()>>,
    contradicted: Vec<(Topic, Fault)>,
    left: bool,
    finished: Option<Result<(), Failure>>,
}

impl Carrier {
    fn new(machine: Toy, limits: Limits) -> Self {
        let clock = Arc::new(Hand::default());
        let steady = Arc::clone(&clock);
        let setup = Setup {
            clock: clock.clone(),
            stopwatch: Arc::new(move || {
                Duration::from_millis(steady.now.load(Ordering::Relaxed).unsigned_abs())
            }),
            observer: Arc::new(NoObserver),
            limits,
            takes_place: Box::new(|_| true),
            snapshots: machine.images.then_some(Duration::ZERO),
            led: false,
        };
        Self {
            driver: Driver::new(machine, setup),
            clock,
            log: BTreeMap::new(),
            first: BTreeMap::new(),
            output: Vec::new(),
            scan: Vec::new(),
            holds_appends: false,
            held: VecDeque::new(),
            opened: Vec::new(),
            started: Vec::new(),
            committed: Vec::new(),
            answered: Vec::new(),
            refused: Vec::new(),
            snapshots: Vec::new(),
            contradicted: Vec::new(),
            left: false,
            finished: None,
        }
    }

    fn wants(&self) -> Wants {
        self.driver.wants()
    }

    /// Something gets into the log.
    fn write(&mut self, append: &Append) -> Position {
        let topic = Classification::of(&append.message.event).topic();
        let records = self.log.entry((topic, 0)).or_default();
        let at = Position { topic, partition: 0, offset: records.len() as u64 };
        let (message, source) = (Arc::clone(&append.message), append.source);
        records.push(Fetched::Record(Delivered { at, message, source, raw: None }));
        at
    }

    fn kept(&self, at: &Position) -> Bounds {
        let first = self.first.get(&(at.topic, at.partition)).copied().unwrap_or(0);
        Bounds { first, end: self.end(at).offset }
    }

    fn end(&self, at: &Position) -> Position {
        let end = self.log.get(&(at.topic, at.partition)).map_or(0, Vec::len);
        Position { offset: end as u64, ..*at }
    }

    fn step(&mut self, event: Event<'_, Toy, &'static str>) {
        self.driver.step(event);
        while let Some(command) = self.driver.next_command() {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command<Toy, &'static str>) {
        match command {
            Command::Bounds(of) => {
                let kept: Vec<Bounds> = of.iter().map(|at| self.kept(at)).collect();
                self.driver.step(Event::Bounds(&kept));
            }
            Command::Open(reader, from) => {
                let ends: Vec<Position> = from.iter().map(|at| self.end(at)).collect();
                self.opened.push((reader, from.clone()));
                match reader {
                    Reader::Output => self.output = from,
                    Reader::Scan => self.scan = from,
                    Reader::Input => {}
                }
                self.driver.step(Event::Opened(&ends));
            }
            Command::Join => self.driver.step(Event::Joined),
            Command::Load(before) => {
                let snapshot = self.snapshots.iter().rev().nth(before).cloned();
                self.driver.step(Event::Loaded(snapshot.map(|snapshot| Ok(Box::new(snapshot)))));
            }
            Command::Append(batch) if self.holds_appends => self.held.push_back(batch),
            Command::Append(batch) => self.append(&batch),
            Command::Commit(commits) => {
                self.committed.extend(commits.iter().cloned());
                self.driver.step(Event::Committed(Ok(())));
            }
            Command::Start(attempt, effect) => self.started.push((attempt, effect)),
            Command::Answer(caller, _) => self.answered.push(caller),
            Command::Refuse(caller, _) => self.refused.push(caller),
            Command::Keep(snapshot) => {
                self.snapshots.push(*snapshot);
                self.driver.step(Event::Kept(Ok(1), Duration::ZERO));
            }
            Command::Leave => {
                self.left = true;
                self.driver.step(Event::Left);
            }
            Command::Finish(outcome) => self.finished = Some(outcome),
            Command::Contradict(topic, fault) => self.contradicted.push((topic, fault)),
            Command::Close(_) | Command::AwaitTurn => {}
        }
    }

    fn append(&mut self, batch: &[Append]) {
        let positions: Vec<Position> = batch.iter().map(|append| self.write(append)).collect();
        self.driver.step(Event::Appended(&positions));
    }

    /// What was kept is in the log now.
    fn land(&mut self) {
        if let Some(batch) = self.held.pop_front() {
            let positions: Vec<Position> = batch.iter().map(|append| self.write(append)).collect();
            self.step(Event::Appended(&positions));
        }
    }

    /// Reads what there is of one reader, if it is wanted.
    fn read(&mut self, reader: Reader) {
        let wants = self.wants();
        let wanted = match reader {
            Reader::Output => wants.output,
            Reader::Scan => wants.scan,
            Reader::Input => false,
        };
        if !wanted {
            return;
        }
        let next = if reader == Reader::Output { &mut self.output } else { &mut self.scan };
        let mut records = Vec::new();
        for at in next.iter_mut() {
            let of = self.log.get(&(at.topic, at.partition)).map_or(&[][..], Vec::as_slice);
            records.extend(of.iter().skip(usize::try_from(at.offset).unwrap()).cloned());
            at.offset = of.len() as u64;
        }
        let next = next.clone();
        self.step(Event::Records(reader, &records, &next));
    }

    /// Comes to work: whatever it reads for that is there.
    fn begin(&mut self) {
        self.step(Event::Begin);
        self.settle_in();
    }

    fn settle_in(&mut self) {
        for _ in 0..20 {
            if self.driver.is_at_work() {
                return;
            }
            self.read(Reader::Output);
            self.read(Reader::Scan);
        }
    }

    fn assign(&mut self, committed: Vec<Commit>) {
        self.step(Event::Assigned(vec![Assignment { committed, ..Assignment::default() }]));
        self.step(Event::Flush);
        self.settle_in();
    }

    /// These records are handed over, and the batch ends.
    fn input(&mut self, records: &[Fetched]) {
        self.step(Event::Records(Reader::Input, records, &[]));
        self.step(Event::Flush);
    }

    fn call(&mut self, name: &'static str, call: fn(&mut Toy, &mut Outbox)) {
        self.step(Event::Call(Box::new(move |toy: &mut Toy, outbox: &mut Outbox| {
            call(toy, outbox);
            name
        })));
        self.step(Event::Flush);
    }

    /// The first effect that is under way comes to its end.
    fn ends_effect(&mut self) {
        let (attempt, effect) = self.started.remove(0);
        let outcome = (effect.order(), PaymentOutcome::Refunded.into());
        self.step(Event::Outcome(attempt, Some(outcome)));
        self.step(Event::Flush);
    }
}

/// A record by somebody else.
fn foreign(name: &str, event: impl Into<RecordedEvent>) -> Append {
    let event = event.into();
    let id = EventId::named(name);
    let service = Classification::of(&event).owner;
    let message =
        Message { id, at: at(0), service, cause: None, trace: Trace::root(&id), writer: None, event };
    let route = crate::machine::Route::Partition(0);
    Append { message: Arc::new(message), route, source: None }
}

fn election(term: u64, name: &str) -> Append {
    let writer = Writer { term, name: name.into() };
    foreign(&format!("elected/{term}/{name}"), WriterElected { writer })
}

/// Inputs for these orders, from an offset on.
fn inputs(from: u64, orders: std::ops::Range<u128>) -> Vec<Fetched> {
    let record = |(n, offset)| Fetched::Record(crate::testkit::record(offset, at(0), toy::input(n)));
    orders.zip(from..).map(record).collect()
}

fn commit(offset: u64) -> Commit {
    let topic = Classification::of_kind(toy::input(0).kind()).topic();
    Commit { next: Position { topic, partition: 0, offset }, note: String::new() }
}

fn orders(effects: &[(Attempt, Effect)]) -> Vec<OrderId> {
    effects.iter().map(|(_, effect)| effect.order()).collect()
}
