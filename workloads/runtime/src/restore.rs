//! Begins with a snapshot, if there is one that fits the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use kbnt_application::fence::TermFence;
use kbnt_application::intact::Fault;
use kbnt_application::ports::{Fetched, LogReader, Mark, Snapshot, SnapshotError, SnapshotTold};
use kbnt_application::{Machine, Position};
use kbnt_domain::Timestamp;

use super::core::{Core, End, Link};
use super::snapshots::SnapshotPlan;

/// Reads without a record after which there is none to come.
const PATIENCE: usize = 10;

/// From where a writer folds its output topic.
pub(super) struct Restored {
    /// Reads on from there.
    pub(super) reader: Box<dyn LogReader>,
    /// What it has read already.
    pub(super) ahead: Vec<Fetched>,
    /// Which records count.
    pub(super) fence: TermFence,
    /// From where the inputs are to be read; those that are not named from their first record.
    pub(super) inputs: Vec<Position>,
}

impl Restored {
    /// A writer that knows nothing yet, with a reader of everything.
    pub(super) fn nothing(reader: Box<dyn LogReader>) -> Self {
        Self { reader, ahead: Vec::new(), fence: TermFence::default(), inputs: Vec::new() }
    }
}

/// Lets the machine begin with the newest snapshot that is of use.
pub(super) async fn restore<M: Machine>(
    core: &mut Core<M>,
    plan: &SnapshotPlan,
) -> Result<Option<Restored>, End> {
    let (service, observer) = (core.link.service, Arc::clone(&core.link.parts.observer));
    for before in 0.. {
        let Some(loaded) = load(plan, before).await else { break };
        match begin(core, loaded).await? {
            Ok((taken, restored)) => {
                observer.snapshot(service, &SnapshotTold::Restored { taken, before });
                return Ok(Some(restored));
            }
            Err(why) => observer.snapshot(service, &SnapshotTold::Refused { before, why: &why }),
        }
    }
    Ok(None)
}

async fn load(plan: &SnapshotPlan, before: usize) -> Option<Result<Snapshot, SnapshotError>> {
    let store = Arc::clone(&plan.store);
    let loaded = tokio::task::spawn_blocking(move || store.load(before)).await;
    loaded.unwrap_or_else(|error| Some(Err(SnapshotError::Unavailable(error.into()))))
}

/// Lets the machine begin with this one; else why not.
async fn begin<M: Machine>(
    core: &mut Core<M>,
    loaded: Result<Snapshot, SnapshotError>,
) -> Result<Result<(Timestamp, Restored), String>, End> {
    let snapshot = match loaded {
        Ok(snapshot) => snapshot,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let (reader, ahead) = match read_on(&core.link, &snapshot).await? {
        Ok(found) => found,
        Err(why) => return Ok(Err(why.to_owned())),
    };
    let Snapshot { taken, folded, inputs, image } = snapshot;
    let mut fence = TermFence::default();
    for mark in &folded {
        fence.elected(mark.at.partition, &image.writer);
    }
    let restored = core.machine.restore(image).map_err(|error| error.to_string());
    Ok(restored.map(|()| (taken, Restored { reader, ahead, fence, inputs })))
}

/// A reader of what lies behind the snapshot's last records, and what it read already; else why this is not their log.
async fn read_on(
    link: &Link,
    snapshot: &Snapshot,
) -> Result<Result<(Box<dyn LogReader>, Vec<Fetched>), &'static str>, End> {
    let output = link.service.output();
    let mut unseen: BTreeMap<u32, &Mark> =
        snapshot.folded.iter().map(|mark| (mark.at.partition, mark)).collect();
    let is_whole = unseen.keys().copied().eq(0..output.partitions())
        && snapshot.folded.iter().all(|mark| mark.at.topic == output);
    if !is_whole {
        return Ok(Err("it is not of all partitions"));
    }
    let after = |mark: &Mark| Position { offset: mark.at.offset + 1, ..mark.at };
    let needed: Vec<Position> =
        snapshot.folded.iter().map(after).chain(snapshot.inputs.iter().copied()).collect();
    let ends = link.ends(needed.clone()).await?;
    let short = ends.iter().zip(&needed).find(|(end, needed)| end.offset < needed.offset);
    if let Some((end, needed)) = short {
        let Position { topic, partition, offset: wanted } = *needed;
        let fault = Fault::Short { partition, wanted, found: end.offset };
        link.parts.log.contradicted(topic, fault).await?;
        return Ok(Err("the log ends before it"));
    }
    let from: Vec<Position> = snapshot.folded.iter().map(|mark| mark.at).collect();
    let mut reader = link.open(&from).await?;
    let (mut ahead, mut idle) = (Vec::new(), 0);
    while !unseen.is_empty() {
        let records = link.fetch(reader.as_mut()).await?;
        idle = if records.is_empty() { idle + 1 } else { 0 };
        if idle == PATIENCE {
            return Ok(Err("its last records are not in the log"));
        }
        for fetched in records {
            match unseen.remove(&fetched.at().partition) {
                None => ahead.push(fetched),
                Some(mark) if is_it(&fetched, mark) => {}
                Some(_) => return Ok(Err("the log has other records where its last ones would be")),
            }
        }
    }
    Ok(Ok((reader, ahead)))
}

fn is_it(fetched: &Fetched, mark: &Mark) -> bool {
    matches!(fetched, Fetched::Record(record) if record.at == mark.at && record.message.id == mark.id)
}
