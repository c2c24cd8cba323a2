//! How far a machine has come in each input partition, and which records of shared stock count there.

use std::collections::{BTreeMap, VecDeque};

use crate::fence::TermFence;
use crate::machine::{Delivered, Machine, Position};
use crate::message::Topic;
use crate::ports::{Assignment, Commit};

/// The topic whose writers are elected.
const FENCED: Topic = Topic::InventoryEvents;

/// What of the inputs was handled and committed.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    partitions: BTreeMap<(Topic, u32), Input>,
    fence: TermFence,
}

#[derive(Debug, Default)]
struct Input {
    /// The offset after the last record that was handled.
    next: u64,
    committed: u64,
    /// What the fence knew from these offsets on; the first entry covers `committed`.
    notes: VecDeque<(u64, String)>,
}

impl Input {
    /// Up to where all is handled and answered.
    fn settled(&self, machine: &impl Machine, topic: Topic, partition: u32) -> u64 {
        machine.hold(topic, partition).map_or(self.next, |hold| hold.min(self.next))
    }
}

impl Inputs {
    /// A partition number is ours, from what was committed for it. Where the note of a commit does not say which records count from
    /// there on, the answer is that position: then [`Inputs::learn`] must follow.
    #[must_use]
    pub(super) fn assigned(&mut self, assignment: &Assignment, inputs: &[Topic]) -> Option<Position> {
        let partition = assignment.partition;
        let mut unknown = None;
        for topic in inputs.iter().copied().filter(|topic| partition < topic.partitions()) {
            let commit = assignment.committed.iter().find(|commit| commit.next.topic == topic);
            let (next, note) =
                commit.map_or((0, String::new()), |commit| (commit.next.offset, commit.note.clone()));
            if topic == FENCED && self.fence.restore(partition, &note).is_err() && next > 0 {
                unknown = Some(Position { topic, partition, offset: next });
            }
            let notes = VecDeque::from([(next, note)]);
            self.partitions.insert((topic, partition), Input { next, committed: next, notes });
        }
        unknown
    }

    /// All partitions are read from these positions on. A sole writer reads no topic of another one, and commits nothing.
    pub(super) fn all(&mut self, from: &[Position]) {
        for at in from {
            let input = Input { next: at.offset, committed: at.offset, notes: VecDeque::new() };
            self.partitions.insert((at.topic, at.partition), input);
        }
    }

    /// Takes up what a fence knows that was shown all records before this position.
    pub(super) fn learn(&mut self, at: Position, fence: &TermFence) {
        let note = fence.note(at.partition);
        // A fence that has seen no election knows nothing, and leaves no note.
        let _ = self.fence.restore(at.partition, &note);
        if fence.is_at_cut(at.partition) {
            self.fence.begin_at_cut(at.partition);
        }
        if let Some(input) = self.partitions.get_mut(&(at.topic, at.partition)) {
            input.notes = VecDeque::from([(at.offset, note)]);
        }
    }

    /// A partition number is somebody else's.
    pub(super) fn revoked(&mut self, partition: u32) {
        self.partitions.retain(|(_, number), _| *number != partition);
    }

    /// Whether `record` counts.
    pub(super) fn admits(&mut self, record: &Delivered) -> bool {
        if record.at.topic != FENCED {
            return true;
        }
        let admitted = self.fence.admits(record);
        let Position { topic, partition, offset } = record.at;
        if let Some(input) = self.partitions.get_mut(&(topic, partition))
            && input.notes.back().is_none_or(|(_, last)| !self.fence.is_noted(partition, last))
        {
            input.notes.push_back((offset + 1, self.fence.note(partition)));
        }
        admitted
    }

    /// The record at `at` is dealt with.
    pub(super) fn passed(&mut self, at: Position) {
        let input = self.partitions.entry((at.topic, at.partition)).or_default();
        input.next = input.next.max(at.offset + 1);
    }

    /// What can be committed and was not yet, now that all answers are durable.
    pub(super) fn due(&self, machine: &impl Machine) -> Vec<Commit> {
        let mut commits = Vec::new();
        for (&(topic, partition), input) in &self.partitions {
            if input.committed == input.next {
                continue;
            }
            let next = input.settled(machine, topic, partition);
            if next > input.committed {
                let note = input.notes.iter().rfind(|(from, _)| *from <= next);
                let note = note.map(|(_, note)| note.clone()).unwrap_or_default();
                commits.push(Commit { next: Position { topic, partition, offset: next }, note });
            }
        }
        commits
    }

    /// These are committed.
    pub(super) fn committed(&mut self, commits: &[Commit]) {
        for Commit { next, .. } in commits {
            if let Some(input) = self.partitions.get_mut(&(next.topic, next.partition)) {
                input.committed = next.offset;
                while input.notes.get(1).is_some_and(|(from, _)| *from <= next.offset) {
                    input.notes.pop_front();
                }
            }
        }
    }

    /// From where each partition must be read again by a machine that knows what this one does.
    pub(super) fn settled(&self, machine: &impl Machine) -> impl Iterator<Item = Position> {
        self.partitions.iter().map(|(&(topic, partition), input)| Position {
            topic,
            partition,
            offset: input.settled(machine, topic, partition),
        })
    }

    /// The offset after the last record that was handled, of each partition.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.partitions.iter().map(|(&(topic, partition), input)| Position {
            topic,
            partition,
            offset: input.next,
        })
    }
}
