//! Snapshots of a sole writer: taken between batches, kept in the background once they are read back.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kbnt_application::Machine;
use kbnt_application::ports::{Mark, Snapshot, SnapshotError, SnapshotStore, SnapshotTold};
use kbnt_domain::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::core::Core;
use super::inputs::Inputs;
use super::tail::Tail;

/// Of the time, no more than one part in so many goes into snapshots, however large they are.
const SHARE: u32 = 20;

/// Where a sole writer keeps its snapshots, and how often it takes one.
#[derive(Clone)]
pub struct SnapshotPlan {
    /// Where.
    pub store: Arc<dyn SnapshotStore>,
    /// Not more often than this; and not if nothing was written since the last one.
    pub every: Duration,
}

/// The snapshots of a writer at work.
pub(super) struct Snapshots {
    plan: SnapshotPlan,
    due: Instant,
    stage: Stage,
    /// Up to where the last one goes.
    last: Vec<Mark>,
}

/// What becomes of one.
enum Stage {
    /// There is none.
    Idle,
    /// It stands for records that are not read back yet; copying it took so long.
    ReadingBack(Box<Snapshot>, Duration),
    /// It is on its way to the store.
    Keeping(JoinHandle<Kept>),
}

/// What came of one.
struct Kept {
    taken: Timestamp,
    folded: Vec<Mark>,
    copied: Duration,
    outcome: Result<u64, SnapshotError>,
    took: Duration,
}

impl Snapshots {
    pub(super) fn new(plan: SnapshotPlan) -> Self {
        let due = Instant::now() + plan.every;
        Self { plan, due, stage: Stage::Idle, last: Vec::new() }
    }

    /// Does what is to be done between two batches, when all that was written is acknowledged.
    pub(super) fn go_on<M: Machine>(&mut self, core: &Core<M>, inputs: &Inputs, tail: &Tail) {
        self.stage = match mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle if Instant::now() >= self.due && !tail.written().eq(&self.last) => {
                Self::take(core, inputs, tail)
            }
            Stage::ReadingBack(snapshot, copied) if tail.has_read(&snapshot.folded) => {
                Stage::Keeping(self.keep(snapshot, copied))
            }
            Stage::Keeping(mut task) => match (&mut task).now_or_never() {
                Some(kept) => {
                    // A task that panicked has kept nothing; the panic itself is told where it happens.
                    if let Ok(kept) = kept {
                        self.kept(core, kept);
                    }
                    Stage::Idle
                }
                None => Stage::Keeping(task),
            },
            same => same,
        };
    }

    fn take<M: Machine>(core: &Core<M>, inputs: &Inputs, tail: &Tail) -> Stage {
        let started = Instant::now();
        let Some(image) = core.machine.image() else { return Stage::Idle };
        let snapshot = Snapshot {
            taken: core.link.parts.clock.now(),
            folded: tail.written().copied().collect(),
            inputs: inputs.settled(&core.machine).collect(),
            image,
        };
        Stage::ReadingBack(Box::new(snapshot), started.elapsed())
    }

    fn keep(&self, snapshot: Box<Snapshot>, copied: Duration) -> JoinHandle<Kept> {
        let store = Arc::clone(&self.plan.store);
        tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let outcome = store.keep(&snapshot);
            Kept { taken: snapshot.taken, folded: snapshot.folded, copied, outcome, took: started.elapsed() }
        })
    }

    fn kept<M: Machine>(&mut self, core: &Core<M>, kept: Kept) {
        let Kept { taken, folded, copied, outcome, took } = kept;
        self.due = Instant::now() + self.plan.every.max((copied + took) * (SHARE - 1));
        let told = match &outcome {
            Ok(bytes) => {
                self.last = folded;
                SnapshotTold::Kept { taken, bytes: *bytes, copied, took }
            }
            Err(error) => SnapshotTold::Failed(error),
        };
        core.link.parts.observer.snapshot(core.link.service, &told);
    }
}
