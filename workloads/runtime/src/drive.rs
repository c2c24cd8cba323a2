//! The loop of a machine that has recovered.

use std::time::Duration;

use futures::FutureExt as _;
use kbnt_application::ports::{Assignment, Clock, ErrorClass, Fetched, GroupBatch, LogError, Stage};
use kbnt_application::{EffectOutcome, Machine, Position, Topic};
use kbnt_domain::{OrderId, Span};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::batch::Batch;
use super::catchup::{MOST, WAIT};
use super::core::{Core, End, Link};
use super::handle::Job;
use super::inputs::Inputs;
use super::lag::Lag;
use super::snapshots::{SnapshotPlan, Snapshots};
use super::source::Source;
use super::tail::{Tail, admitted};

/// A machine that has so many orders or records in hand takes in no more. It is far more than a gateway answers at a time,
/// and at some kilobytes each far less than a process may have.
const IN_HAND: usize = 10_000;

/// Calls that one batch takes in.
const CALLS_A_BATCH: usize = 256;

/// The longest sleep until a tick, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// How long a machine that drains may take in what is there once the runner was told to stop, and how long it waits for any.
const LAST_RECORDS: Duration = Duration::from_secs(3);
const LAST_WAIT: Span = Span::from_millis(100);

/// How long attempts under way may take to end once the runner was told to stop.
const LAST_EFFECTS: Duration = Duration::from_secs(3);

/// A machine at work.
pub(super) struct Drive<M> {
    core: Core<M>,
    source: Source,
    inputs: Inputs,
    tail: Option<Tail>,
    lag: Lag,
    trouble: Trouble,
    /// When the next batch may begin.
    rest: Option<Instant>,
    snapshots: Option<Snapshots>,
    /// It has learned what is its own.
    settled_in: bool,
    /// By how much the clock is off, while the machine must not decide.
    clock_off: Option<i64>,
    /// What came in just when it went off.
    held: Vec<Fetched>,
}

/// When to read again after an error.
struct Trouble {
    pause: Backoff,
    until: Option<Instant>,
}

/// What the machine is woken by.
enum Wake<M> {
    Told,
    Call(Job<M>),
    Ended(OrderId, EffectOutcome),
    Followed(Result<Vec<Fetched>, LogError>),
    Input(Result<GroupBatch, LogError>),
    Time,
}

impl<M: Machine> Drive<M> {
    pub(super) fn new(core: Core<M>, source: Source, inputs: Inputs, tail: Option<Tail>) -> Self {
        let trouble = Trouble { pause: Backoff::new(), until: None };
        let settled_in = matches!(source, Source::All(_));
        let (lag, rest, snapshots) = (Lag::new(), None, None);
        Self {
            core,
            source,
            inputs,
            tail,
            lag,
            trouble,
            rest,
            snapshots,
            settled_in,
            clock_off: None,
            held: Vec::new(),
        }
    }

    /// Takes snapshots by this plan.
    pub(super) fn with_snapshots(mut self, plan: Option<SnapshotPlan>) -> Self {
        self.snapshots = plan.map(Snapshots::new);
        self
    }

    /// Works until it is told to stop, and then finishes what is in hand.
    pub(super) async fn run(mut self) -> Result<(), End> {
        let end = loop {
            if let Err(end) = self.round().await {
                break end;
            }
        };
        self.core.link.set_ready(false);
        match end {
            End::Told => self.finish().await,
            End::Failed(error) => {
                if let Some(tail) = &mut self.tail {
                    tail.answer_all(&error.of_call());
                }
                Err(End::Failed(error))
            }
        }
    }

    /// Waits for anything to do, and does all that there is.
    async fn round(&mut self) -> Result<(), End> {
        self.rest().await?;
        let clock = self.core.link.clock();
        self.look_at_the_clock(clock.as_ref());
        let wake = self.wake().await;
        self.look_at_the_clock(clock.as_ref());
        let mut batch = Batch::new(self.core.link.service, clock.as_ref());
        let mut change = None;
        let mut input = None;
        match wake {
            Wake::Told => return Err(End::Told),
            Wake::Call(job) => batch.call(&mut self.core.machine, job),
            Wake::Ended(order, outcome) => batch.completed(&mut self.core.machine, order, outcome),
            Wake::Followed(followed) => self.follow(followed)?,
            Wake::Input(read) => input = Some(read),
            Wake::Time => {}
        }
        self.follow_ready()?;
        self.take_ready(&mut batch);
        if self.clock_off.is_none() && !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.handle(&mut batch, &held);
        }
        if input.is_none() && self.trouble.until.is_none() {
            input = self.source.next(self.appetite(), Span::default()).now_or_never();
        }
        match input.map(|read| self.checked(read)).transpose()?.flatten() {
            Some(GroupBatch::Records(records)) if self.clock_off.is_some() => self.held.extend(records),
            Some(GroupBatch::Records(records)) => self.handle(&mut batch, &records),
            other => change = other,
        }
        self.settle(batch).await?;
        match change {
            Some(GroupBatch::Assigned(assigned)) => self.assigned(assigned).await?,
            Some(GroupBatch::Revoked(revoked)) => self.revoked(&revoked),
            _ => {}
        }
        if let (Some(snapshots), Some(tail)) = (&mut self.snapshots, &self.tail) {
            snapshots.go_on(&self.core, &self.inputs, tail);
        }
        let Core { machine, link, .. } = &self.core;
        self.lag.measure(link.service, &link.parts, || machine.stuck(), || self.inputs.positions());
        Ok(())
    }

    /// Tells the machine the time. While the clock is off, one that decides by time decides nothing: it goes on by itself once
    /// the clock is put right.
    fn look_at_the_clock(&mut self, clock: &dyn Clock) {
        let Core { machine, link, .. } = &mut self.core;
        machine.set_clock(clock.now());
        let off = clock.off_by().filter(|_| machine.decides_by_time());
        if off.is_some() != self.clock_off.is_some() {
            link.parts.observer.clock(link.service, off);
        }
        if off.is_some() {
            link.set_ready(false);
        }
        // What is read next makes it ready again, but a sole writer that has read everything may wait long for that.
        if off.is_none() && self.clock_off.take().is_some() && self.settled_in {
            link.set_ready(true);
        }
        self.clock_off = off;
    }

    /// How many records it can take in.
    fn appetite(&self) -> usize {
        let full = self.core.machine.in_hand() >= IN_HAND;
        if full || self.clock_off.is_some() { 0 } else { MOST }
    }

    /// Leaves time for more to come in, if a batch was written just now. Whoever comes after a pause waits for nothing.
    async fn rest(&mut self) -> Result<(), End> {
        let Some(until) = self.rest.take() else { return Ok(()) };
        tokio::select! {
            () = self.core.link.shutdown.cancelled() => Err(End::Told),
            () = tokio::time::sleep_until(until) => Ok(()),
        }
    }

    async fn wake(&mut self) -> Wake<M> {
        let decides = self.clock_off.is_none();
        let until_tick = self.until_tick();
        let most = self.appetite();
        let resume = self.trouble.until.take();
        let read = async {
            if let Some(at) = resume {
                tokio::time::sleep_until(at).await;
            }
            self.source.next(most, WAIT).await
        };
        let follow = async {
            match &mut self.tail {
                Some(tail) => tail.next().await,
                None => std::future::pending().await,
            }
        };
        let wake = tokio::select! {
            () = self.core.link.shutdown.cancelled() => Wake::Told,
            Some(job) = self.core.jobs.recv(), if decides => Wake::Call(job),
            (order, outcome) = self.core.effects.ended(), if decides => Wake::Ended(order, outcome),
            followed = follow => Wake::Followed(followed),
            input = read => return Wake::Input(input),
            () = tokio::time::sleep(until_tick) => Wake::Time,
        };
        // The pause after an error goes on where it was cut short.
        self.trouble.until = resume.filter(|at| *at > Instant::now());
        wake
    }

    /// How long until the machine wants to tick; a moment at least, so that a machine that always wants to cannot spin.
    fn until_tick(&self) -> Duration {
        let now = self.core.link.parts.clock.now();
        self.core.machine.next_tick().map_or(LONGEST_SLEEP, |at| {
            Duration::from_millis(at.since(now).as_millis().max(1)).min(LONGEST_SLEEP)
        })
    }

    /// All effects that ended, a tick if it is time, and the calls in line.
    fn take_ready(&mut self, batch: &mut Batch<'_>) {
        if self.clock_off.is_some() {
            return;
        }
        let machine = &mut self.core.machine;
        while let Some((order, outcome)) = self.core.effects.try_ended() {
            batch.completed(machine, order, outcome);
        }
        batch.tick(machine);
        for _ in 0..CALLS_A_BATCH {
            let Ok(job) = self.core.jobs.try_recv() else { break };
            batch.call(machine, job);
        }
    }

    /// What was read; `None` after an error that passes.
    fn checked(&mut self, read: Result<GroupBatch, LogError>) -> Result<Option<GroupBatch>, End> {
        match read {
            Ok(batch) => {
                self.trouble.pause.reset();
                if self.settled_in && self.clock_off.is_none() {
                    self.core.link.set_ready(true);
                }
                Ok(Some(batch))
            }
            Err(error) if error.class() == ErrorClass::Permanent => Err(error.into()),
            Err(error) => {
                self.core.link.unavailable(Stage::Read, &error);
                self.trouble.until = Some(Instant::now() + self.trouble.pause.next());
                Ok(None)
            }
        }
    }

    fn handle(&mut self, batch: &mut Batch<'_>, records: &[Fetched]) {
        let Core { machine, link: Link { parts, service, .. }, .. } = &mut self.core;
        machine.foresee(&mut records.iter().filter_map(|fetched| match fetched {
            Fetched::Record(record) => Some(record),
            Fetched::Unreadable(_) => None,
        }));
        for fetched in records {
            match fetched {
                Fetched::Unreadable(record) => {
                    batch.unreadable(machine, record);
                    parts.observer.unreadable(*service, record);
                    self.inputs.passed(record.at);
                }
                Fetched::Record(record) => {
                    if self.inputs.admits(record) {
                        batch.handle(machine, record);
                        parts.observer.handled(*service, record, batch.now());
                    } else {
                        parts.observer.fenced(*service, record.at);
                    }
                    self.inputs.passed(record.at);
                }
            }
        }
    }

    fn follow(&mut self, followed: Result<Vec<Fetched>, LogError>) -> Result<(), End> {
        let (Some(tail), core) = (&mut self.tail, &mut self.core) else { return Ok(()) };
        match followed {
            Ok(records) => {
                tail.follow(&mut core.machine, &records);
                core.check()?;
                tail.answer_read_back();
                if !records.is_empty() {
                    core.link.changed();
                }
                Ok(())
            }
            Err(error) if error.class() == ErrorClass::Permanent => Err(error.into()),
            Err(error) => {
                core.link.unavailable(Stage::Read, &error);
                Ok(())
            }
        }
    }

    /// Follows what is there already.
    fn follow_ready(&mut self) -> Result<(), End> {
        let ready = self.tail.as_mut().and_then(|tail| tail.next().now_or_never());
        ready.map_or(Ok(()), |followed| self.follow(followed))
    }

    /// Makes a batch durable, answers its callers and commits what is answered.
    async fn settle(&mut self, batch: Batch<'_>) -> Result<(), End> {
        if batch.stepped {
            // Where there were as many inputs as a batch takes, there are more: waiting would only put them off.
            if !batch.appends.is_empty() && batch.inputs < MOST {
                let pace = self.core.link.parts.log.pace();
                self.rest = Some(batch.began() + Duration::from_millis(pace.as_millis()));
            }
            let changed = batch.changed;
            let settled = self.core.settle(batch).await?;
            match &mut self.tail {
                Some(tail) => tail.answer(&settled.written, settled.replies),
                None => settled.replies.into_iter().for_each(|(positions, reply)| reply(Ok(positions))),
            }
            if changed {
                self.core.link.changed();
            }
        }
        self.commit().await
    }

    async fn commit(&mut self) -> Result<(), End> {
        let due = self.inputs.due(&self.core.machine);
        if due.is_empty() {
            return Ok(());
        }
        match self.source.commit(due.clone()).await {
            Ok(()) => self.inputs.committed(&due),
            Err(error) if error.class() == ErrorClass::Permanent => return Err(error.into()),
            // It is tried again after the next batch; until then a restart only reads more.
            Err(error) => {
                self.core.link.parts.observer.retrying(self.core.link.service, Stage::Commit, &error);
            }
        }
        Ok(())
    }

    /// Recovers these partitions from the machine's own records.
    async fn assigned(&mut self, assigned: Vec<Assignment>) -> Result<(), End> {
        let output = self.core.link.service.output();
        let core = &mut self.core;
        for assignment in &assigned {
            if let Some(at) = self.inputs.assigned(assignment, core.link.service.inputs()) {
                tracing::warn!(
                    operation = "note-refused", %at,
                    "the note of the commit does not say which records count from there on: it is found out from the log"
                );
                let fence = core.link.fence_before(at).await?;
                self.inputs.learn(at, &fence);
            }
            core.machine.assigned(assignment.partition);
        }
        for Assignment { partition, .. } in &assigned {
            let started = Instant::now();
            let mut count = 0;
            if *partition < output.partitions() {
                let first = Position { topic: output, partition: *partition, offset: 0 };
                let ends = core.link.ends(vec![first]).await?;
                let mut reader = core.link.open(&[first]).await?;
                let (service, observer) = (core.link.service, core.link.parts.observer.clone());
                let mut fence = kbnt_application::fence::TermFence::default();
                let fold = |machine: &mut M, fetched| {
                    let records = std::slice::from_ref(&fetched);
                    admitted(records, service, observer.as_ref(), &mut fence).for_each(|r| machine.fold(r));
                };
                count = core.read_to(reader.as_mut(), &ends, fold).await?;
            }
            core.link.parts.observer.recovered(core.link.service, *partition, count, started.elapsed());
        }
        let clock = core.link.clock();
        let mut batch = Batch::new(core.link.service, clock.as_ref());
        for Assignment { partition, .. } in &assigned {
            batch.recovered(&mut core.machine, *partition);
        }
        self.settle(batch).await?;
        self.read_again(&assigned).await?;
        self.settled_in = true;
        self.core.link.set_ready(self.clock_off.is_none());
        Ok(())
    }

    /// Hands the machine what was committed and what its own records do not answer.
    async fn read_again(&mut self, assigned: &[Assignment]) -> Result<(), End> {
        for commit in assigned.iter().flat_map(|assignment| &assignment.committed) {
            let Position { topic, partition, offset } = commit.next;
            for gap in self.core.machine.unanswered(topic, partition, offset) {
                let at = |offset| Position { offset, ..commit.next };
                self.handle_again(at(gap.start), at(gap.end)).await?;
            }
        }
        Ok(())
    }

    /// Hands the machine the records of a partition from `from` on and before `until` once more. What it waits for is bounded here,
    /// too.
    async fn handle_again(&mut self, from: Position, until: Position) -> Result<(), End> {
        let mut fence = self.core.link.fence_after_counted(from).await?;
        let (mut reader, until) = self.core.link.open_until(from, until).await?;
        let clock = self.core.link.clock();
        while !reader.has_reached(&[until]) {
            let records = self.core.link.fetch(reader.as_mut()).await?;
            let mut batch = Batch::new(self.core.link.service, clock.as_ref());
            for fetched in records.iter().filter(|fetched| fetched.at() < until) {
                match fetched {
                    Fetched::Unreadable(record) => batch.unreadable(&mut self.core.machine, record),
                    Fetched::Record(record) => {
                        if record.at.topic != Topic::InventoryEvents || fence.admits(record) {
                            batch.handle(&mut self.core.machine, record);
                        }
                    }
                }
            }
            self.settle(batch).await?;
            while self.core.machine.in_hand() >= IN_HAND
                && let Some(tail) = &mut self.tail
            {
                let followed = tail.next().await;
                self.follow(followed)?;
            }
        }
        Ok(())
    }

    fn revoked(&mut self, revoked: &[u32]) {
        self.held.retain(|fetched| !revoked.contains(&fetched.at().partition));
        for partition in revoked {
            self.core.machine.revoked(*partition);
            self.inputs.revoked(*partition);
            self.core.effects.drop_waiting_of(*partition);
            self.core.link.parts.observer.revoked(self.core.link.service, *partition);
        }
        self.core.link.changed();
    }

    /// Takes in what is there already, not for long.
    async fn drain(&mut self) -> Result<(), End> {
        let deadline = Instant::now() + LAST_RECORDS;
        let clock = self.core.link.clock();
        while Instant::now() < deadline {
            let read = self.source.next(self.appetite(), LAST_WAIT).await;
            let records = match self.checked(read)? {
                Some(GroupBatch::Records(records)) if !records.is_empty() => records,
                _ => break,
            };
            let mut batch = Batch::new(self.core.link.service, clock.as_ref());
            self.handle(&mut batch, &records);
            self.settle(batch).await?;
            self.follow_ready()?;
        }
        Ok(())
    }

    /// Waits for the attempts that are under way, notes how they ended, commits and leaves.
    async fn finish(mut self) -> Result<(), End> {
        if self.settled_in && self.core.machine.drains() {
            self.drain().await?;
        }
        self.core.link.set_ready(false);
        self.core.effects.drop_waiting();
        let deadline = Instant::now() + LAST_EFFECTS;
        let clock = self.core.link.clock();
        let mut batch = Batch::new(self.core.link.service, clock.as_ref());
        while !self.core.effects.is_idle() {
            let ended = tokio::time::timeout_at(deadline, self.core.effects.ended()).await;
            let Ok((order, outcome)) = ended else { break };
            batch.completed(&mut self.core.machine, order, outcome);
        }
        batch.effects.clear();
        self.settle(batch).await?;
        self.source.leave().await.map_err(End::from)
    }
}
