//! The world of one seed: everything that is, and the scheduler that decides what happens next.

use std::collections::VecDeque;

use kbnt_application::machine::Halt;
use kbnt_application::ports::{Mark, Snapshot};
use kbnt_application::{Append, Effect, EffectOutcome, Service};

use crate::Report;
use crate::clients::{Call, Clients};
use crate::commits::{Committed, Groups};
use crate::flights::Flights;
use crate::gateway::Outside;
use crate::log::{Log, Place};
use crate::model::Books;
use crate::plan::Plan;
use crate::process::{Process, Stage, Waiting};
use crate::rng::Rng;
use crate::round::{Most, follow};
use crate::snapshots::agree;
use crate::startup::{elected, start};
use crate::strays::Strays;

/// What a clock that is wrong at a start is ahead, in milliseconds: less than the window, so that no command is too old for it.
pub(crate) const WRONG: i64 = 3 * 3_600_000;

/// The world of one seed.
pub struct World {
    pub(crate) rng: Rng,
    pub(crate) plan: Plan,
    trace: bool,
    /// True time in milliseconds.
    pub(crate) now: i64,
    pub(crate) step: u64,
    pub(crate) log: Log,
    pub(crate) groups: Groups,
    pub(crate) processes: Vec<Process>,
    pub(crate) flights: Flights,
    pub(crate) outside: Outside,
    pub(crate) clients: Clients,
    pub(crate) books: Books,
    pub(crate) strays: Strays,
    /// What crashed processes had sent and that still gets in.
    pub(crate) late: Vec<(Place, VecDeque<Append>)>,
    /// Snapshots of the inventory, the oldest first.
    pub(crate) kept: Vec<Snapshot>,
    /// What went wrong at a start.
    broken: Option<String>,
    pub(crate) report: Report,
    /// Faults are over, and nothing is left to chance that need not be.
    pub(crate) resting: bool,
}

impl World {
    /// The world of `seed`; with `trace`, every step is printed.
    pub fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::draw(&mut rng);
        let clients = Clients::draw(&plan, &mut rng);
        let (decline_above, unnamed) = (plan.decline_above, plan.faults.unnamed);
        let outside = Outside { decline_above, unnamed, ..Outside::default() };
        Self {
            rng,
            plan,
            trace,
            now: 1_700_000_000_000,
            step: 0,
            log: Log::new(),
            groups: Groups::default(),
            processes: Vec::new(),
            flights: Flights::default(),
            outside,
            clients,
            books: Books::default(),
            strays: Strays::default(),
            late: Vec::new(),
            kept: Vec::new(),
            broken: None,
            report: Report::default(),
            resting: false,
        }
    }

    /// How many steps were taken.
    pub const fn steps(&self) -> u64 {
        self.step
    }

    /// Lets things happen, then lets them come to rest, then checks everything.
    ///
    /// # Errors
    /// What promise was broken.
    pub fn run(&mut self) -> Result<Report, String> {
        if self.trace {
            self.print(format_args!("{:#?}", self.plan));
        }
        for service in Service::ALL {
            self.spawn(service);
        }
        for _ in 0..self.plan.steps {
            self.step += 1;
            self.happen()?;
        }
        self.drain()?;
        self.check()?;
        self.report.steps = self.step;
        self.report.records = self.log.len();
        self.lose()?;
        Ok(self.report.clone())
    }

    pub(crate) fn say(&self, what: impl FnOnce() -> String) {
        if self.trace {
            self.print(format_args!("{:>6} {:>9} {}", self.step, self.now - 1_700_000_000_000, what()));
        }
    }

    /// Shows a line of the trace; where nobody can read it, the seed's outcome is the same.
    fn print(&self, line: std::fmt::Arguments<'_>) {
        debug_assert!(self.trace);
        let _ = crate::screen::show(line);
    }

    /// One thing happens, and perhaps something goes wrong.
    fn happen(&mut self) -> Result<(), String> {
        match self.rng.below(100) {
            0..=63 => {
                let process = self.rng.index(self.processes.len());
                self.advance(process)?;
            }
            64..=75 => self.fly()?,
            76..=83 => self.pass_time(),
            84..=90 => self.ask()?,
            91..=93 => self.land_late()?,
            _ => self.manage(),
        }
        self.go_wrong()
    }

    pub(crate) fn spawn(&mut self, service: Service) -> usize {
        let id = self.processes.len();
        // Whoever decides by time. What order-service stamps hours ahead is refused as stale, and rightly so.
        let decides = matches!(service, Service::Inventory | Service::Payment);
        let wrong = decides && self.rng.chance(self.plan.faults.wrong_start * 20);
        let skew = if wrong { WRONG } else { self.skew() };
        let snapshot = if service == Service::Inventory { self.find_snapshot() } else { None };
        let begins_with = snapshot.as_ref().map(|snapshot| snapshot.folded.clone());
        let begin = |snapshot| start(id, service, skew, &self.plan, &self.log, self.now, snapshot);
        let process = begin(None);
        let process = match snapshot.map(|snapshot| begin(Some(snapshot))) {
            None => process,
            Some(Ok(restored)) => process.and_then(|folded| {
                let agree = agree(&restored.node, &folded.node);
                if agree {
                    Ok(restored)
                } else {
                    Err("a snapshot is not what its records come to".to_owned())
                }
            }),
            Some(broken) => broken,
        };
        self.say(|| format!("{}#{id} starts, {begins_with:?}", service.name()));
        match process {
            Ok(process) => self.processes.push(process),
            Err(broken) => self.broken = Some(broken),
        }
        id
    }

    pub(crate) fn skew(&mut self) -> i64 {
        let most = self.plan.skew;
        if most == 0 {
            0
        } else {
            i64::try_from(self.rng.below(2 * most.unsigned_abs() + 1)).unwrap_or(0) - most
        }
    }

    /// One process goes on by a bit.
    fn advance(&mut self, id: usize) -> Result<(), String> {
        match self.processes[id].stage {
            Stage::Dead => Ok(()),
            _ if self.processes[id].batch.is_some() => self.land_some(id),
            Stage::CatchingUp(_) => {
                let most = self.rng.between(1, 200);
                self.catch_up(id, most);
                Ok(())
            }
            Stage::Electing => Ok(()),
            Stage::Working => {
                let most = Most { follow: self.rng.below(30), inputs: 6 };
                self.work(id, most, None).map(|_| ())
            }
        }
    }

    pub(crate) fn catch_up(&mut self, id: usize, most: u64) {
        let process = &mut self.processes[id];
        if follow(process, &self.log, most) {
            process.stage = Stage::Working;
        }
    }

    /// A round of a process that waits for nothing.
    pub(crate) fn work(&mut self, id: usize, most: Most, call: Option<Call>) -> Result<bool, String> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        let process = &mut self.processes[id];
        let asked = call.clone();
        let active = process.round(&self.log, self.now, &mut self.rng, most, call);
        match process.node.machine().halted() {
            Some(Halt::Broken(what)) => return Err(format!("{} is broken: {what}", process.name())),
            Some(Halt::Fenced(writer)) => {
                self.say(|| format!("{} is fenced by {writer:?}", self.processes[id].name()));
                self.processes[id].batch = None;
                self.kill(id)?;
                if let Some(call) = asked {
                    self.clients.unanswered(&call, &mut self.rng);
                }
                return Ok(true);
            }
            None => {}
        }
        self.answer_waiting(id);
        self.keep_snapshot(id);
        if self.processes[id].batch.as_ref().is_some_and(|batch| batch.appends.is_empty()) {
            self.settle(id)?;
        }
        Ok(active)
    }

    /// Callers of the sole writer whose records were read back.
    fn answer_waiting(&mut self, id: usize) {
        let process = &mut self.processes[id];
        let Some(tail) = &process.tail else { return };
        let is_read = |waiting: &Waiting| {
            waiting.until.values().all(|mark| tail.next[mark.at.partition as usize] > mark.at.offset)
        };
        let (read, waiting) = std::mem::take(&mut process.waiting).into_iter().partition(is_read);
        process.waiting = waiting;
        let read: Vec<Waiting> = read;
        for Waiting { call, .. } in read {
            self.clients.confirmed(&call);
        }
    }

    /// Some of what a process sent gets into the log; when all is in, it hears of it.
    fn land_some(&mut self, id: usize) -> Result<(), String> {
        for _ in 0..self.rng.between(1, 6) {
            let Some(batch) = &self.processes[id].batch else { break };
            let places: Vec<Place> = batch.landing.keys().copied().collect();
            let Some(place) = self.rng.pick(&places).copied() else { break };
            self.land(id, place)?;
        }
        let Some(batch) = &mut self.processes[id].batch else { return Ok(()) };
        if self.rng.chance(self.plan.faults.retried_append / 4) {
            batch.send();
            self.report.faults += 1;
            self.say(|| format!("{} appends again", self.processes[id].name()));
            return Ok(());
        }
        if batch.is_landed() { self.settle(id) } else { Ok(()) }
    }

    pub(crate) fn land(&mut self, id: usize, place: Place) -> Result<(), String> {
        let process = &mut self.processes[id];
        let Some(record) = process.batch.as_mut().and_then(|batch| batch.land(place, &mut self.log)) else {
            return Ok(());
        };
        if process.stage == Stage::Electing {
            process.elections.insert(place.1, record.at.offset);
        }
        process.written.insert(place.1, Mark { at: record.at, id: record.message.id });
        self.say(|| format!("{} wrote {}", self.processes[id].name(), show(&record)));
        self.record(&record)
    }

    /// All that a process wrote is acknowledged.
    pub(crate) fn settle(&mut self, id: usize) -> Result<(), String> {
        let Some(mut batch) = self.processes[id].batch.take() else { return Ok(()) };
        let effects = std::mem::take(&mut batch.effects);
        for effect in &effects {
            self.allowed(&self.processes[id], &batch, effect)?;
        }
        for effect in effects {
            if let Effect::Charge { order, .. } = &effect {
                self.processes[id].charging.insert(*order);
            }
            self.say(|| format!("{} does {effect:?}", self.processes[id].name()));
            self.flights.start(id, effect);
        }
        let process = &mut self.processes[id];
        process.node.machine().durable();
        if process.stage == Stage::Electing {
            elected(process, &self.log, self.now);
            self.say(|| format!("{} elected: {:?}", self.processes[id].name(), self.processes[id].stage));
            return Ok(());
        }
        if process.node.machine().sole_writer() {
            let until = process.written.clone();
            process
                .waiting
                .extend(batch.calls.into_iter().map(|call| Waiting { call, until: until.clone() }));
        } else {
            batch.calls.iter().for_each(|call| self.clients.confirmed(call));
            self.commit(id);
        }
        Ok(())
    }

    /// Commits what is answered, as `infrastructure::runtime::inputs` does.
    fn commit(&mut self, id: usize) {
        let lag = self.plan.faults.commit_lag;
        let process = &mut self.processes[id];
        for (place, input) in &mut process.inputs {
            let hold = process.node.show().hold(place.0, place.1);
            let next = hold.map_or(input.next, |hold| hold.min(input.next));
            if next <= input.committed || self.rng.chance(lag) {
                continue;
            }
            let note = input.notes.iter().rfind(|(from, _)| *from <= next);
            let note = note.map(|(_, note)| note.clone()).unwrap_or_default();
            self.groups.commit(process.service, id, *place, Committed { next, note });
            input.committed = next;
        }
    }

    /// Something happens to an effect.
    pub(crate) fn fly(&mut self) -> Result<(), String> {
        let answer = self.flights.step(&mut self.outside, &self.plan.faults, &mut self.rng)?;
        let Some(answer) = answer else { return Ok(()) };
        let process = &mut self.processes[answer.process];
        if process.is_dead() {
            return Ok(());
        }
        let unknown =
            matches!(answer.outcome, EffectOutcome::Unknown { .. } | EffectOutcome::Senseless { .. });
        process.heard(answer.order, answer.charge, unknown);
        process.completions.push_back((answer.order, answer.outcome.clone()));
        self.say(|| {
            format!(
                "{} hears of {}: {:?}",
                self.processes[answer.process].name(),
                answer.order,
                answer.outcome
            )
        });
        Ok(())
    }

    /// Customers and the warehouse ask for something.
    pub(crate) fn ask(&mut self) -> Result<(), String> {
        let Some(service) = self.clients.next_service() else { return Ok(()) };
        let takers: Vec<usize> = self
            .processes
            .iter()
            .filter(|process| {
                process.service == service
                    && process.is_idle()
                    && !process.clock_off
                    && !process.inputs.is_empty()
            })
            .map(|process| process.id)
            .collect();
        let Some(id) = self.rng.pick(&takers).copied() else { return Ok(()) };
        let node = &self.processes[id].node;
        let received = |product: &_, source: &_| match node {
            crate::process::Node::Inventory(machine) => machine.level(product).map_or(0, |level| {
                level.received.iter().find(|(name, _)| name == source).map_or(0, |(_, received)| *received)
            }),
            _ => 0,
        };
        let Some(call) = self.clients.next(&self.plan, &mut self.rng, received) else { return Ok(()) };
        self.say(|| format!("{} is asked {call:?}", self.processes[id].name()));
        let most = Most { follow: self.rng.below(30), inputs: 2 };
        self.work(id, most, Some(call)).map(|_| ())
    }

    fn pass_time(&mut self) {
        let most = match self.rng.below(100) {
            0..=79 => 60,
            80..=95 => 3_000,
            96..=98 => 40_000,
            _ => self.plan.ttl.as_millis(),
        };
        self.now += i64::try_from(self.rng.below(most + 1)).unwrap_or(0);
    }
}

/// A record in a line.
pub(crate) fn show(record: &kbnt_application::Delivered) -> String {
    let message = &record.message;
    let by = message.writer.as_ref().map(|writer| format!(" of term {}", writer.term)).unwrap_or_default();
    let at = &record.at;
    format!("{}/{}@{}{by} {:?}", at.topic.name(), at.partition, at.offset, message.event)
}
