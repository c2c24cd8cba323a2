//! Snapshots of the inventory, as `infrastructure::runtime` takes them and begins with them: at any moment, and with
//! whichever is left.

use std::collections::BTreeMap;

use kbnt_application::Position;
use kbnt_application::fence::TermFence;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::ports::{Mark, Snapshot};
use kbnt_domain::Timestamp;
use kbnt_domain::stock::{Portion, ReservationFilter, ReservationPlace, ReservationState};

use crate::log::{Log, understood};
use crate::process::{Node, Process, Tail, admitted};
use crate::world::World;

impl World {
    /// A writer at work copies its state.
    pub(crate) fn copy_state(&mut self) {
        let writers = self.processes.iter().filter(|process| process.is_idle());
        let writers: Vec<usize> =
            writers.filter(|process| process.node.show().sole_writer()).map(|process| process.id).collect();
        let Some(id) = self.rng.pick(&writers).copied() else { return };
        let process = &mut self.processes[id];
        let taken = process.clock(self.now);
        process.snapshot = snapshot(process, taken);
        self.say(|| format!("{} copies its state", self.processes[id].name()));
    }

    /// A writer whose copied state is read back keeps it.
    pub(crate) fn keep_snapshot(&mut self, id: usize) {
        let process = &mut self.processes[id];
        let Some(tail) = &process.tail else { return };
        let is_read = |mark: &Mark| tail.next[mark.at.partition as usize] > mark.at.offset;
        if let Some(snapshot) = process.snapshot.take_if(|snapshot| snapshot.folded.iter().all(is_read)) {
            self.kept.push(snapshot);
            self.say(|| format!("{} keeps a snapshot", self.processes[id].name()));
        }
    }

    /// What a writer finds at its start: the newest snapshot, or, where that is damaged, an older one or nothing.
    pub(crate) fn find_snapshot(&mut self) -> Option<Snapshot> {
        let newest = self.kept.last()?.clone();
        match self.rng.below(4) {
            0 => None,
            1 => self.rng.pick(&self.kept).cloned(),
            _ => Some(newest),
        }
    }
}

fn snapshot(process: &Process, taken: Timestamp) -> Option<Snapshot> {
    let machine = process.node.show();
    let settled = |(place, input): (&crate::log::Place, &crate::process::Input)| {
        let hold = machine.hold(place.0, place.1);
        let offset = hold.map_or(input.next, |hold| hold.min(input.next));
        Position { topic: place.0, partition: place.1, offset }
    };
    Some(Snapshot {
        taken,
        folded: process.written.values().copied().collect(),
        inputs: process.inputs.iter().map(settled).collect(),
        image: machine.image()?,
    })
}

/// Begins with a snapshot, and folds what lies behind it.
pub(crate) fn restore(process: &mut Process, log: &Log, snapshot: Snapshot) -> Result<(), String> {
    let mut tail = Tail { next: Vec::new(), fence: TermFence::default() };
    let last: BTreeMap<u32, Mark> = snapshot.folded.iter().map(|mark| (mark.at.partition, *mark)).collect();
    for place in process.output_places() {
        let mark = last.get(&place.1).ok_or("a snapshot without all partitions")?;
        let found = log.read(place, mark.at.offset).and_then(understood);
        if found.is_none_or(|found| found.message.id != mark.id) {
            return Err("a snapshot's last record is not in the log".into());
        }
        tail.fence.elected(place.1, &snapshot.image.writer);
        tail.next.push(mark.at.offset + 1);
    }
    process.settled = snapshot.inputs;
    process.node.machine().restore(snapshot.image).map_err(|error| error.to_string())?;
    for place in process.output_places() {
        let next = &mut tail.next[place.1 as usize];
        while let Some(fetched) = log.read(place, *next) {
            *next += 1;
            if let Some(record) = understood(fetched).filter(|record| admitted(&mut tail.fence, record)) {
                process.node.machine().fold(record);
            }
        }
    }
    process.tail = Some(tail);
    Ok(())
}

/// Whether two writers that have folded the same log know the same stock.
pub(crate) fn agree(one: &Node, other: &Node) -> bool {
    let (Node::Inventory(one), Node::Inventory(other)) = (one, other) else { return true };
    let active = |machine: &InventoryMachine| {
        let filter = ReservationFilter { product: None, state: Some(ReservationState::Reserved) };
        let mut active = machine.reservations(&filter, ReservationPlace::default(), Portion::ALL).found;
        active.sort_by_key(|view| view.order);
        active
    };
    one.levels() == other.levels() && active(one) == active(other)
}
