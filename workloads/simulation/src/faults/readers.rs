//! Readers that lag: each takes in some of what there is, one partition ahead of another, and behind what its own process has written.

use std::collections::BTreeMap;

use kbnt_application::Position;
use kbnt_application::driver::{Event, Reader};

use super::loss::damaged;
use crate::log::{Log, Place};
use crate::process::Process;
use crate::world::World;

/// How much a process takes in at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) follow: u64,
    pub(crate) inputs: u64,
}

/// Where the readers of a process stand.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    /// That of its output topic.
    pub(crate) output: Vec<Position>,
    /// That of its inputs.
    pub(crate) inputs: BTreeMap<Place, u64>,
    /// Where it scans.
    pub(crate) scan: Option<Position>,
}

impl Readers {
    /// Whether they are at the end of what they read.
    pub(crate) fn are_at_the_end(&self, log: &Log) -> bool {
        self.output.iter().all(|at| log.end((at.topic, at.partition)) == at.offset)
            && self.inputs.iter().all(|(place, next)| log.end(*place) == *next)
    }
}

impl Process {
    /// Reads on in the output topic; whether there was anything.
    pub(crate) fn follow(&mut self, log: &Log, most: u64) -> bool {
        let mut left = most;
        let mut any = false;
        for index in 0..self.readers.output.len() {
            let at = self.readers.output[index];
            let records = log.slice((at.topic, at.partition), at.offset, left);
            if !records.is_empty() && self.driver.wants().output {
                left -= records.len() as u64;
                self.readers.output[index].offset += records.len() as u64;
                any = true;
                self.idle = None;
                self.driver.step(Event::Records(Reader::Output, records, &self.readers.output));
            }
        }
        any
    }

    /// Its reader stands here now, if what it is to read is there.
    pub(crate) fn open(&mut self, log: &Log, reader: Reader, from: Vec<Position>) {
        if let Some(damage) = damaged(log, self.service, from.iter().copied()) {
            return self.tell(Event::Failed(damage));
        }
        let ends = log.ends(&from);
        let Readers { output, inputs, scan } = &mut self.readers;
        match reader {
            Reader::Output => *output = from,
            Reader::Scan => *scan = from.first().copied(),
            Reader::Input => *inputs = from.iter().map(|at| ((at.topic, at.partition), at.offset)).collect(),
        }
        self.tell(Event::Opened(&ends));
    }
}

impl World {
    /// Some records of the partition that a process scans.
    pub(crate) fn scan(&mut self, id: usize, most: Most) {
        let most = self.rng.between(1, most.follow.max(1));
        let Self { processes, log, .. } = self;
        let process = &mut processes[id];
        let Some(at) = &mut process.readers.scan else { return };
        let records = log.slice((at.topic, at.partition), at.offset, most);
        at.offset += records.len() as u64;
        let next = [*at];
        process.tell(Event::Records(Reader::Scan, records, &next));
    }

    /// What the coordinator has for a process, or some records of one of its input partitions.
    pub(crate) fn read(&mut self, id: usize, most: u64, takes: usize) -> bool {
        let Self { processes, log, rng, .. } = self;
        let process = &mut processes[id];
        if let Some(change) = process.member.changes.pop_front() {
            self.change(id, change);
            return true;
        }
        let ready = |(place, next): &(&Place, &u64)| takes > 0 && log.end(**place) > **next;
        let Some((&place, &next)) = rng.pick_of(process.readers.inputs.iter().filter(ready)) else {
            process.driver.step(Event::Records(Reader::Input, &[], &[]));
            return false;
        };
        let records = log.slice(place, next, rng.between(1, most).min(takes as u64));
        process.readers.inputs.insert(place, next + records.len() as u64);
        process.tell(Event::Records(Reader::Input, records, &[]));
        true
    }
}
