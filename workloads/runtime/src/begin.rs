//! How a machine comes to work: as a member of its group, or as the elected writer.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use kbnt_application::fence::TermFence;
use kbnt_application::intact::Fault;
use kbnt_application::ports::{Assignment, Commit, Leadership, LogReader, Mark, Stage};
use kbnt_application::{Machine, Position, Topic};
use kbnt_domain::Event;

use super::batch::Batch;
use super::core::{Core, End, Link};
use super::drive::Drive;
use super::inputs::Inputs;
use super::restore::{Restored, restore};
use super::runner::RunError;
use super::snapshots::SnapshotPlan;
use super::source::Source;
use super::tail::{Tail, admitted};

/// The first position of every partition of `topic`.
fn beginning(topic: Topic) -> Vec<Position> {
    (0..topic.partitions()).map(|partition| Position { topic, partition, offset: 0 }).collect()
}

/// Joins the service's group, after having followed the whole output topic if the machine wants that.
pub(super) async fn as_member<M: Machine>(mut core: Core<M>) -> Result<(), End> {
    let mut tail = None;
    let clock = core.link.clock();
    core.machine.set_clock(clock.now());
    if core.machine.follows() {
        let first = beginning(core.link.service.output());
        let ends = core.link.ends(first.clone()).await?;
        let mut reader = core.link.open(&first).await?;
        let (service, observer) = (core.link.service, Arc::clone(&core.link.parts.observer));
        let mut fence = TermFence::default();
        let mut newest = None;
        let follow = |machine: &mut M, fetched| {
            let records = std::slice::from_ref(&fetched);
            admitted(records, service, observer.as_ref(), &mut fence).for_each(|r| {
                newest = Some(r.message.at);
                machine.follow(r);
            });
        };
        core.read_to(reader.as_mut(), &ends, follow).await?;
        if let Some(newest) = newest {
            clock.log_says(newest);
        }
        tail = Some(Tail::new(core.link.service, Arc::clone(&core.link.parts.observer), reader));
        check_witnessed(&core.link, core.machine.witnessed()).await?;
    }
    let member = core.link.until_told(Stage::Read, || core.link.parts.log.join(core.link.service)).await?;
    Drive::new(core, Source::Group(member), Inputs::default(), tail).run().await
}

/// Finds out whether all is there that was, as the machine's own records say. Other services need not know of it: where all event
/// stores are gone and nothing beside them says so, this is the only witness.
async fn check_witnessed(link: &Link, mut wanted: Vec<Position>) -> Result<(), End> {
    wanted.retain(|at| at.partition < at.topic.partitions());
    let ends = link.ends(wanted.clone()).await?;
    let mut outcome = Ok(());
    for (Position { topic, partition, offset: wanted }, end) in wanted.into_iter().zip(ends) {
        if end.offset < wanted {
            let fault = Fault::Short { partition, wanted, found: end.offset };
            let told = || link.parts.log.contradicted(topic, fault);
            let found = link.until_told(Stage::Read, told).await;
            // Every partition is told; the first one ends it.
            outcome = outcome.and(found);
        }
    }
    outcome
}

/// Takes its turn as the writer, and gives it on.
pub(super) async fn as_writer<M: Machine>(
    core: Core<M>,
    leadership: Option<Arc<dyn Leadership>>,
    snapshots: Option<SnapshotPlan>,
) -> Result<(), End> {
    let end = write(core, leadership.as_deref(), snapshots).await;
    if let Some(leadership) = leadership {
        leadership.release().await;
    }
    end
}

/// Recovers everything, waits for its turn, stands for election, and goes on where its records end.
async fn write<M: Machine>(
    mut core: Core<M>,
    leadership: Option<&dyn Leadership>,
    snapshots: Option<SnapshotPlan>,
) -> Result<(), End> {
    let started = std::time::Instant::now();
    let first = beginning(core.link.service.output());
    let clock = core.link.clock();
    core.machine.set_clock(clock.now());
    for at in &first {
        core.machine.assigned(at.partition);
    }
    let ends = core.link.ends(first.clone()).await?;
    let restored = match &snapshots {
        Some(plan) => restore(&mut core, plan).await?,
        None => None,
    };
    let Restored { mut reader, ahead, mut fence, inputs } = match restored {
        Some(restored) => restored,
        None => Restored::nothing(core.link.open(&first).await?),
    };
    // A snapshot knows the time at which it was taken.
    core.machine.set_clock(clock.now());
    let (service, observer) = (core.link.service, Arc::clone(&core.link.parts.observer));
    let mut newest = None;
    let mut fold = |machine: &mut M, fetched| {
        let records = std::slice::from_ref(&fetched);
        admitted(records, service, observer.as_ref(), &mut fence).for_each(|r| {
            newest = Some(r.message.at);
            machine.fold(r);
        });
    };
    let read = ahead.len() as u64;
    for fetched in ahead {
        fold(&mut core.machine, fetched);
    }
    let count = read + core.read_to(reader.as_mut(), &ends, fold).await?;
    if let Some(newest) = newest {
        clock.log_says(newest);
    }
    core.link.parts.observer.recovered(core.link.service, 0, count, started.elapsed());
    if let Some(leadership) = leadership {
        stand_by(&mut core, reader.as_mut(), &mut fence, leadership).await?;
    }
    // Before it is elected, so that a writer whose inputs are not all there leaves the one before it at work.
    let (inputs, from) = resume(&core, &inputs);
    let source = Source::All(core.link.open(&from).await?);
    let elections = loop {
        if let Some(elections) = elected(&mut core, reader.as_mut(), &mut fence).await? {
            break elections;
        }
    };
    core.machine.set_clock(clock.now());
    let mut batch = Batch::new(core.link.service, clock.as_ref());
    for at in &first {
        batch.recovered(&mut core.machine, at.partition);
    }
    let settled = core.settle(batch).await?;
    let mut tail = Tail::new(core.link.service, Arc::clone(&core.link.parts.observer), reader)
        .of_writer(fence, elections);
    tail.answer(&settled.written, settled.replies);
    core.link.at_work();
    Drive::new(core, source, inputs, Some(tail)).with_snapshots(snapshots).run().await
}

/// Folds what the present writer writes, until it is this process's turn. It stands by until it is at work.
async fn stand_by<M: Machine>(
    core: &mut Core<M>,
    reader: &mut dyn LogReader,
    fence: &mut TermFence,
    leadership: &dyn Leadership,
) -> Result<(), End> {
    let (service, observer) = (core.link.service, Arc::clone(&core.link.parts.observer));
    core.link.stand_by();
    let mut turn = pin!(leadership.acquired());
    loop {
        let records = tokio::select! {
            turn = &mut turn => {
                turn.map_err(RunError::Leadership)?;
                break;
            }
            records = core.link.fetch(reader) => records?,
        };
        let clock = core.link.clock();
        core.machine.set_clock(clock.now());
        for record in admitted(&records, service, observer.as_ref(), fence) {
            clock.log_says(record.message.at);
            core.machine.fold(record);
        }
    }
    Ok(())
}

/// Stands for election and folds up to it; the elections, if they were won in every partition.
async fn elected<M: Machine>(
    core: &mut Core<M>,
    reader: &mut dyn LogReader,
    fence: &mut TermFence,
) -> Result<Option<BTreeMap<u32, Mark>>, End> {
    let clock = core.link.clock();
    core.machine.set_clock(clock.now());
    let mut batch = Batch::new(core.link.service, clock.as_ref());
    batch.elect(&mut core.machine);
    let term = batch.appends.iter().find_map(|append| match &append.message.event {
        Event::WriterElected(elected) => Some(elected.writer.term),
        _ => None,
    });
    let written = core.settle(batch).await?.written;
    let elections: BTreeMap<u32, Mark> = written.into_iter().map(|mark| (mark.at.partition, mark)).collect();
    let after = |mark: &Mark| Position { offset: mark.at.offset + 1, ..mark.at };
    let ends: Vec<_> = elections.values().map(after).collect();
    let (service, observer) = (core.link.service, Arc::clone(&core.link.parts.observer));
    let mut won = 0;
    let take = |machine: &mut M, fetched| {
        for record in admitted(std::slice::from_ref(&fetched), service, observer.as_ref(), fence) {
            let election = elections.get(&record.at.partition).map_or(u64::MAX, |mark| mark.at.offset);
            won += usize::from(record.at.offset == election);
            if record.at.offset <= election { machine.fold(record) } else { machine.follow(record) }
        }
    };
    core.read_to(reader, &ends, take).await?;
    let won = won == elections.len();
    if let (true, Some(term)) = (won, term) {
        core.link.parts.observer.elected(core.link.service, term);
    }
    Ok(won.then_some(elections))
}

/// From where the machine reads all of its inputs; `settled` is what its snapshot says.
fn resume<M: Machine>(core: &Core<M>, settled: &[Position]) -> (Inputs, Vec<Position>) {
    let mut from: Vec<Position> = core.link.service.inputs().iter().copied().flat_map(beginning).collect();
    for next in core.machine.resume().iter().chain(settled) {
        let here = |at: &&mut Position| at.topic == next.topic && at.partition == next.partition;
        if let Some(position) = from.iter_mut().find(here) {
            position.offset = position.offset.max(next.offset);
        }
    }
    let mut inputs = Inputs::default();
    let count = from.iter().map(|at| at.partition + 1).max().unwrap_or(0);
    for partition in 0..count {
        let of_partition = from.iter().filter(|at| at.partition == partition);
        let committed = of_partition.map(|at| Commit { next: *at, note: String::new() }).collect();
        // A sole writer reads no topic of another one.
        let _ = inputs.assigned(
            &Assignment { partition, committed, ..Assignment::default() },
            core.link.service.inputs(),
        );
    }
    (inputs, from)
}
