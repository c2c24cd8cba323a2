//! The coordinator of the groups: what they have committed, and who owns what. It moves partitions whatever their owners are doing, refuses
//! commits and loses them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kbnt_application::driver::Event;
use kbnt_application::ports::{Assignment, Commit, LogError};
use kbnt_application::{Position, Service, Topic};

use super::loss::damaged;
use crate::log::Place;
use crate::process::Process;
use crate::world::World;

/// What the group's coordinator has for a member.
#[derive(Debug)]
pub(crate) enum Change {
    Assigned(Vec<u32>),
    Revoked(BTreeSet<u32>),
}

/// What a process is to hear of the coordinator.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) changes: VecDeque<Change>,
    /// Partitions that it works on and that are somebody else's, of which it hears later.
    lost: BTreeSet<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Groups {
    committed: BTreeMap<(Service, Topic, u32), Commit>,
    owners: BTreeMap<(Service, u32), usize>,
}

impl Groups {
    pub(crate) fn committed(&self, service: Service, (topic, partition): Place) -> Option<Commit> {
        self.committed.get(&(service, topic, partition)).cloned()
    }

    /// Whether it takes the commit: that of a process that has lost the partition is refused.
    pub(crate) fn commit(&mut self, service: Service, process: usize, commit: Commit) -> bool {
        let owned = self.owner(service, commit.next.partition) == Some(process);
        if owned {
            self.committed.insert((service, commit.next.topic, commit.next.partition), commit);
        }
        owned
    }

    pub(crate) fn owner(&self, service: Service, partition: u32) -> Option<usize> {
        self.owners.get(&(service, partition)).copied()
    }

    pub(crate) fn assign(&mut self, service: Service, partition: u32, process: usize) {
        self.owners.insert((service, partition), process);
    }

    pub(crate) fn release(&mut self, service: Service, partition: u32) {
        self.owners.remove(&(service, partition));
    }

    /// What was committed for this partition has expired.
    pub(crate) fn expire(&mut self, service: Service, (topic, partition): Place) {
        self.committed.remove(&(service, topic, partition));
    }

    /// All that this process owned is free.
    pub(crate) fn leave(&mut self, process: usize) {
        self.owners.retain(|_, owner| *owner != process);
    }
}

impl Member {
    /// Whether this partition is not its own any more, and it does not know.
    pub(crate) fn has_lost(&self, partition: u32) -> bool {
        let is_to_hear =
            |change: &Change| matches!(change, Change::Revoked(lost) if lost.contains(&partition));
        self.lost.contains(&partition) || self.changes.iter().any(is_to_hear)
    }

    /// It will hear of what it has lost; false if that is nothing.
    fn hear_of_loss(&mut self) -> bool {
        let lost = std::mem::take(&mut self.lost);
        let any = !lost.is_empty();
        self.changes.extend(any.then_some(Change::Revoked(lost)));
        any
    }
}

impl World {
    /// A process notes offsets, if the coordinator still takes them from it. It may lose them, or what was noted with them.
    pub(crate) fn commit(&mut self, id: usize, commits: &[Commit]) {
        let outcome = self.note(id, commits);
        self.processes[id].tell(Event::Committed(outcome));
    }

    fn note(&mut self, id: usize, commits: &[Commit]) -> Result<(), LogError> {
        let lost = self.rng.chance(self.plan.faults.lost_commit);
        let noted = !self.rng.chance(self.plan.faults.lost_note);
        let service = self.processes[id].service;
        for Commit { next, note } in commits.iter().filter(|_| !lost) {
            let note = if noted { note.clone() } else { String::new() };
            if !self.groups.commit(service, id, Commit { next: *next, note }) {
                return Err(LogError::Unavailable("the partition is somebody else's".to_owned()));
            }
        }
        Ok(())
    }

    /// A process hands over what it has.
    pub(crate) fn leave(&mut self, id: usize) {
        self.groups.leave(id);
        self.processes[id].tell(Event::Left);
    }

    /// A member hears what is its own now.
    pub(crate) fn change(&mut self, id: usize, change: Change) {
        let process = &mut self.processes[id];
        process.actions.forget();
        match change {
            Change::Revoked(partitions) => {
                process.readers.inputs.retain(|(_, partition), _| !partitions.contains(partition));
                process.tell(Event::Revoked(partitions.into_iter().collect()));
            }
            Change::Assigned(partitions) => {
                let mut assigned = Vec::new();
                for partition in partitions {
                    let mut committed = Vec::new();
                    for place in process.places(partition) {
                        let commit = self.groups.committed(process.service, place);
                        let next = commit.as_ref().map_or(0, |commit| commit.next.offset);
                        process.readers.inputs.insert(place, next);
                        committed.extend(commit);
                    }
                    assigned.push(Assignment { partition, committed, ..Assignment::default() });
                }
                let places = process.readers.inputs.iter().map(|(&(topic, partition), &offset)| Position {
                    topic,
                    partition,
                    offset,
                });
                match damaged(&self.log, process.service, places) {
                    Some(damage) => process.tell(Event::Failed(damage)),
                    None => process.tell(Event::Assigned(assigned)),
                }
            }
        }
    }

    /// Zombies hear that their partitions are somebody else's.
    pub(crate) fn tell(&mut self, service: Service) -> bool {
        let mut told = false;
        for process in self.processes.iter_mut().filter(|process| process.service == service && !process.dead)
        {
            told |= process.member.hear_of_loss();
        }
        told
    }

    /// Partitions without an owner get one.
    pub(crate) fn assign(&mut self, service: Service) -> bool {
        if service == Service::Inventory {
            return false;
        }
        let Self { processes, groups, rng, .. } = self;
        let is_member = |process: &&Process| {
            process.service == service
                && process.is_idle()
                && process.member.changes.is_empty()
                && !process.stopping
        };
        let mut ready = processes.iter().filter(is_member);
        if self.resting && (0..3).all(|partition| groups.owner(service, partition).is_some()) {
            // Whoever is drawn gets nothing.
            if ready.next().is_some() {
                rng.next();
            }
            return false;
        }
        let Some(&Process { id, member: Member { ref lost, .. }, .. }) = rng.pick_of(ready) else {
            return false;
        };
        let is_free =
            |partition: &u32| groups.owner(service, *partition).is_none() && !lost.contains(partition);
        let mut mine: Vec<u32> = (0..3).filter(is_free).collect();
        if !self.resting && !rng.chance(500) {
            mine.truncate(rng.index(mine.len() + 1));
        }
        if mine.is_empty() {
            return false;
        }
        self.say(|| format!("{} gets {mine:?}", self.processes[id].name()));
        for partition in &mine {
            self.groups.assign(service, *partition, id);
        }
        self.processes[id].member.changes.push_back(Change::Assigned(mine));
        true
    }

    /// A partition is taken from its owner, whatever that is doing; it hears of it when it looks next, or later.
    pub(super) fn move_partition(&mut self) {
        let any = self.rng.pick(&Service::ALL).copied().unwrap_or(Service::Order);
        let service = self.plan.faults.focus.unwrap_or(any);
        let partition = u32::try_from(self.rng.below(3)).unwrap_or(0);
        let Some(owner) = self.groups.owner(service, partition) else { return };
        let zombie = self.rng.chance(self.plan.faults.zombie);
        self.say(|| format!("{} loses {partition}, zombie: {zombie}", self.processes[owner].name()));
        self.groups.release(service, partition);
        let member = &mut self.processes[owner].member;
        member.lost.insert(partition);
        if !zombie {
            member.hear_of_loss();
        }
    }

    /// Some records are delivered again, as after a reconnect.
    pub(super) fn rewind(&mut self) {
        let id = self.rng.index(self.processes.len());
        let back = self.rng.between(1, 5);
        let (process, groups) = (&mut self.processes[id], &self.groups);
        if process.service == Service::Inventory || !process.is_idle() {
            return;
        }
        let places: Vec<_> = process.readers.inputs.keys().copied().collect();
        if let Some(place) = self.rng.pick(&places)
            && let Some(next) = process.readers.inputs.get_mut(place)
        {
            let committed = groups.committed(process.service, *place).map_or(0, |commit| commit.next.offset);
            *next = next.saturating_sub(back).max(committed.min(*next));
            process.idle = None;
        }
    }
}

impl Process {
    /// The inputs that go with a partition number.
    fn places(&self, partition: u32) -> impl Iterator<Item = Place> + use<> {
        let topics = self.service.inputs().iter();
        topics.filter(move |topic| partition < topic.partitions()).map(move |topic| (*topic, partition))
    }
}
