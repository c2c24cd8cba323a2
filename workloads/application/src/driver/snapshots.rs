//! Snapshots: taken between batches, kept beside the work once all that they know is read back.

use std::mem;
use std::time::Duration;

use super::{Command, Core, Driver};
use crate::machine::{ImageOf, Imaged, Machine, Position};
use crate::ports::{Mark, Snapshot, SnapshotError, SnapshotEvent};
use kbnt_domain::Timestamp;

/// Of the time, no more than one part in so many goes into snapshots, however large they are.
const SHARE: u32 = 20;

/// The snapshots of a machine at work.
pub(super) struct Snapshots<I> {
    /// Not more often than this; and not if nothing was written since the last one.
    every: Duration,
    due: Duration,
    stage: Stage<I>,
    /// Up to where the last one goes.
    last: Vec<Mark>,
    /// From where the one that the machine began with lets it read its inputs.
    inputs: Vec<Position>,
}

/// What becomes of one.
enum Stage<I> {
    /// There is none.
    Idle,
    /// It knows what these records say, which are not read back yet; copying it took so long.
    ReadingBack { snapshot: Box<Snapshot<I>>, written: Vec<Mark>, copied: Duration },
    /// It is on its way to the store.
    Keeping { taken: Timestamp, folded: Vec<Mark>, copied: Duration },
}

impl<I> Snapshots<I> {
    pub(super) fn new(every: Duration, now: Duration) -> Self {
        Self { every, due: now + every, stage: Stage::Idle, last: Vec::new(), inputs: Vec::new() }
    }

    /// The machine has begun with one.
    pub(super) fn begin_with(&mut self, inputs: Vec<Position>) {
        self.inputs = inputs;
    }

    /// From where the one that the machine began with lets it read its inputs.
    pub(super) fn inputs(&self) -> &[Position] {
        &self.inputs
    }

    /// A writer goes to work: the first one is due when that was some time ago.
    pub(super) fn begin(&mut self, now: Duration) {
        self.due = now + self.every;
    }
}

impl<M: Machine, R> Driver<M, R> {
    /// Does what is to be done between two batches, when all that was written is acknowledged.
    pub(super) fn go_on_with_snapshots(&mut self) {
        let Self { snapshots: Some(snapshots), core, .. } = self else { return };
        let Some(tail) = &core.tail else { return };
        snapshots.stage = match mem::replace(&mut snapshots.stage, Stage::Idle) {
            Stage::Idle
                if (core.stopwatch)() >= snapshots.due
                    && !tail.imaged().eq(snapshots.last.iter().copied()) =>
            {
                core.snapshot()
            }
            Stage::ReadingBack { snapshot, written, copied } if tail.has_read(&written) => {
                let (taken, folded) = (snapshot.taken, snapshot.folded.clone());
                core.commands.push_back(Command::Keep(snapshot));
                Stage::Keeping { taken, folded, copied }
            }
            same => same,
        };
    }

    pub(super) fn kept(&mut self, outcome: &Result<u64, SnapshotError>, took: Duration) {
        let Some(snapshots) = &mut self.snapshots else { return };
        let Stage::Keeping { taken, folded, copied } = mem::replace(&mut snapshots.stage, Stage::Idle) else {
            return;
        };
        snapshots.due = (self.core.stopwatch)() + snapshots.every.max((copied + took) * (SHARE - 1));
        let event = match outcome {
            Ok(bytes) => {
                snapshots.last = folded;
                SnapshotEvent::Kept { taken, bytes: *bytes, copied, took }
            }
            Err(error) => SnapshotEvent::Failed(error),
        };
        self.core.observer.snapshot(self.core.service, &event);
    }
}

impl<M: Machine, R> Core<M, R> {
    fn snapshot(&mut self) -> Stage<ImageOf<M>> {
        let started = (self.stopwatch)();
        let image = self.machine.imaged().and_then(|machine| machine.image());
        let (Some(image), Some(tail)) = (image, &self.tail) else { return Stage::Idle };
        let (folded, written) = (tail.imaged().collect(), tail.written().collect());
        // Those of a member are committed in its group.
        let writes_alone = self.machine.sole_writer().is_some();
        let inputs = self.inputs.settled(&self.machine).filter(|_| writes_alone).collect();
        let snapshot = Box::new(Snapshot { taken: self.clock.now(), folded, inputs, image });
        Stage::ReadingBack { snapshot, written, copied: (self.stopwatch)().saturating_sub(started) }
    }
}
