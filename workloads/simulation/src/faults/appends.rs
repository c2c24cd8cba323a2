//! What a process writes gets into the log bit by bit, each partition on its own; is sent again, refused or given up; or gets in when the
//! process is long gone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kbnt_application::driver::Event;
use kbnt_application::ports::LogError;
use kbnt_application::{Append, Delivered, Position, Topic};

use super::requests::Request;
use crate::log::{Log, Place};
use crate::process::Process;
use crate::world::{World, show};

/// The most that a record may weigh: less than a dead letter of a large record, more than its beginning.
const LARGEST: usize = 100_000;

/// Whether the log takes no such record.
pub(super) fn is_too_large(append: &Append) -> bool {
    append.weight() > LARGEST
}

/// What crashed processes had sent and that still gets in.
pub(crate) type Late = Vec<(Place, VecDeque<Append>)>;

/// What a step wrote, on its way to the log.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) appends: Arc<Vec<Append>>,
    /// By partition, what is not in the log yet.
    pub(crate) landing: BTreeMap<Place, VecDeque<usize>>,
    /// Where the rest lies.
    pub(crate) positions: Vec<Position>,
}

impl Batch {
    /// On its way: all of it from the start.
    pub(crate) fn new(appends: Arc<Vec<Append>>) -> Self {
        let mut landing: BTreeMap<Place, VecDeque<usize>> = BTreeMap::new();
        for (index, append) in appends.iter().enumerate() {
            landing.entry(append.place()).or_default().push_back(index);
        }
        let nowhere = Position { topic: Topic::OrderEvents, partition: 0, offset: 0 };
        Self { positions: vec![nowhere; appends.len()], appends, landing }
    }

    /// The next record of a partition.
    fn next(&self, place: Place) -> Option<&Append> {
        self.appends.get(*self.landing.get(&place)?.front()?)
    }

    /// The next record of a partition gets into the log.
    fn land(&mut self, place: Place, log: &mut Log) -> Option<Delivered> {
        let queue = self.landing.get_mut(&place)?;
        let index = queue.pop_front()?;
        if queue.is_empty() {
            self.landing.remove(&place);
        }
        let record = log.append(&self.appends[index]);
        self.positions[index] = record.at;
        Some(record)
    }
}

impl Process {
    /// It sends what a step wrote.
    pub(crate) fn send(&mut self, appends: Arc<Vec<Append>>) -> Result<(), String> {
        self.writes(&appends)?;
        self.request = Some(Request::Append(Batch::new(appends)));
        Ok(())
    }
}

impl World {
    /// Some of what a process sent gets into the log; when all is in, it hears of it.
    pub(crate) fn land_some(&mut self, id: usize) -> Result<(), String> {
        for _ in 0..self.rng.between(1, 6) {
            let Some(Request::Append(batch)) = &self.processes[id].request else { break };
            let places: Vec<Place> = batch.landing.keys().copied().collect();
            let Some(place) = self.rng.pick(&places).copied() else { break };
            self.land(id, place)?;
        }
        if self.fail_append(id)? {
            return Ok(());
        }
        match &self.processes[id].request {
            Some(Request::Append(batch)) if batch.landing.is_empty() => self.settle(id),
            _ => Ok(()),
        }
    }

    /// All that a process sent gets into the log, and it hears of it.
    pub(crate) fn land_all(&mut self, id: usize) -> Result<(), String> {
        while let Some(Request::Append(batch)) = &self.processes[id].request {
            match batch.landing.keys().next().copied() {
                Some(place) => self.land(id, place)?,
                None => return self.settle(id),
            }
        }
        Ok(())
    }

    /// The next record of a partition gets into the log, unless it is too large for it: then nothing more of the batch does.
    fn land(&mut self, id: usize, place: Place) -> Result<(), String> {
        let process = &mut self.processes[id];
        let Some(Request::Append(batch)) = &mut process.request else { return Ok(()) };
        if batch.next(place).is_some_and(is_too_large) {
            process.request = None;
            process.tell(Event::TooLarge(LogError::TooLarge("by its size".to_owned())));
            self.report.faults += 1;
            self.say(|| format!("the append of {}: too large", self.processes[id].name()));
            return self.carry(id);
        }
        let Some(record) = batch.land(place, &mut self.log) else { return Ok(()) };
        self.say(|| format!("{} wrote {}", self.processes[id].name(), show(&record)));
        self.record(&record)
    }

    /// All that a process wrote is acknowledged.
    fn settle(&mut self, id: usize) -> Result<(), String> {
        let process = &mut self.processes[id];
        let Some(Request::Append(batch)) = process.request.take() else { return Ok(()) };
        process.tell(Event::Appended(&batch.positions));
        self.carry(id)
    }

    /// What a process had sent is sent again, refused for good, or given up by one that is to stop, though some of it got in; whether
    /// it was.
    fn fail_append(&mut self, id: usize) -> Result<bool, String> {
        let again = self.rng.chance(self.plan.faults.retried_append / 4);
        let refused = !again && self.rng.chance(self.plan.faults.refused_append / 4);
        let process = &mut self.processes[id];
        let given_up = !again && process.stopping && self.rng.chance(self.plan.faults.stop * 10);
        let Some(Request::Append(batch)) = &mut process.request else { return Ok(false) };
        let failed = if again {
            *batch = Batch::new(batch.appends.clone());
            "again"
        } else if given_up {
            process.request = None;
            process.tell(Event::GivenUp);
            "given up"
        } else if refused {
            process.request = None;
            process.tell(Event::Failed(LogError::Refused("by the seed".to_owned())));
            "refused"
        } else {
            return Ok(false);
        };
        self.report.faults += 1;
        self.say(|| format!("the append of {}: {failed}", self.processes[id].name()));
        self.carry(id).map(|()| true)
    }

    /// Something that a crashed process had sent gets in after all.
    pub(crate) fn land_late(&mut self) -> Result<(), String> {
        if self.late.is_empty() {
            return Ok(());
        }
        let at = self.rng.index(self.late.len());
        self.land_late_at(at)?;
        self.late.retain(|(_, queue)| !queue.is_empty());
        Ok(())
    }

    pub(super) fn land_late_at(&mut self, at: usize) -> Result<(), String> {
        let Some(append) = self.late[at].1.pop_front() else { return Ok(()) };
        let record = self.log.append(&append);
        self.say(|| format!("late: {}", show(&record)));
        self.record(&record)
    }
}
