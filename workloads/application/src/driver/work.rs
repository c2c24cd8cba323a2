//! A machine at work: a batch of steps, then what it wrote, then what follows from that.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use kbnt_domain::Span;

use super::assign::{Assigning, understood};
use super::batch::Batch;
use super::{Change, Command, Core, Driver, Event, Failure, Reader, Stage, Wants};
use crate::machine::{Append, EffectOutcome, Machine, PaymentOutcome, Position, SoleWriter};
use crate::ports::{self, Fetched, LogError, Mark};

/// How long a read waits for records.
pub(super) const WAIT: Span = Span::from_millis(500);

/// The longest sleep until a tick, so that a clock that was set is noticed.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// A batch on its way to the log.
pub(super) struct Sent<R> {
    batch: Batch<R>,
    appends: Arc<Vec<Append>>,
    at: Duration,
}

/// What comes after a batch.
pub(super) enum After {
    /// It stands for election, with this term.
    Election(Option<u64>),
    /// The elected writer goes to work.
    Elected(BTreeMap<u32, Mark>),
    /// What comes next.
    Work,
    /// What is to be read again.
    Recovered(Box<Assigning>),
    /// The rest of what is read again.
    Again(Box<Assigning>),
    /// More of the last records.
    Drained(Duration),
    /// The end.
    Last,
}

impl<M: Machine, R> Driver<M, R> {
    pub(super) fn wants_at_work(&self) -> Wants {
        let decides = self.clock_off.is_none();
        let output = self.core.tail.is_some();
        let input = self.change.is_none().then(|| self.appetite());
        match self.stage {
            Stage::Draining(deadline) => Wants {
                input,
                output,
                wake: Some(deadline),
                wait: super::finish::LAST_WAIT,
                ..Wants::default()
            },
            Stage::LastOutcomes(deadline) => {
                Wants { outcomes: true, wake: Some(deadline), ..Wants::default() }
            }
            _ => Wants {
                input,
                output,
                scan: false,
                calls: if decides { self.core.limits.calls } else { 0 },
                outcomes: decides,
                rest: self.rest,
                wake: Some((self.core.stopwatch)() + self.core.until_tick()),
                wait: WAIT,
            },
        }
    }

    /// How many records it can take in.
    fn appetite(&self) -> usize {
        let full = self.core.machine.in_hand() >= self.core.limits.in_hand;
        if full || self.clock_off.is_some() { 0 } else { self.core.limits.records }
    }

    /// Whatever happens to a machine at work, and to one that is about to end.
    pub(super) fn work(&mut self, event: Event<'_, M, R>) -> Result<(), Failure> {
        if self.core.batch.is_none() {
            self.rest = None;
            self.look_at_the_clock();
        }
        match event {
            Event::Call(call) => {
                let (batch, machine, clock) = self.core.batch();
                batch.call(machine, clock, call);
            }
            Event::Outcome(attempt, outcome) => {
                if let Some((order, outcome)) = outcome {
                    let (batch, machine, clock) = self.core.batch();
                    batch.completed(machine, clock, order, outcome);
                }
                let Core { effects, commands, clock, .. } = &mut self.core;
                effects.ended(clock.now(), attempt, |attempt, effect| {
                    commands.push_back(Command::Start(attempt, effect));
                });
            }
            Event::Records(Reader::Output, records, next) => self.follow(records, next)?,
            Event::Records(Reader::Input, records, _) => return self.take_in(records),
            Event::Assigned(assigned) => self.change = Some(Change::Assigned(assigned)),
            Event::Revoked(revoked) => self.change = Some(Change::Revoked(revoked)),
            Event::Flush => return self.flush(),
            _ => {}
        }
        Ok(())
    }

    /// Tells the machine the time. While the clock is off, one that decides by time decides nothing: it goes on by itself once
    /// the clock is put right.
    fn look_at_the_clock(&mut self) {
        let Core { machine, clock, observer, service, status, .. } = &mut self.core;
        machine.set_clock(clock.now());
        let off = if machine.decides_by_time() { clock.off_by() } else { None };
        if off.is_some() != self.clock_off.is_some() {
            observer.clock(*service, off);
        }
        if off.is_some() {
            status.ready = false;
        }
        // What is read next makes it ready again, but a sole writer that has read everything may wait long for that.
        if off.is_none() && self.clock_off.take().is_some() && self.settled_in {
            status.ready = true;
        }
        self.clock_off = off;
        if off.is_none() && !self.held.is_empty() {
            let held = mem::take(&mut self.held);
            self.core.handle(&held);
        }
    }

    /// Takes in records of the output topic.
    pub(super) fn follow(&mut self, records: &[Fetched], next: &[Position]) -> Result<(), Failure> {
        self.core.follow(records, next);
        self.core.check()?;
        let Core { tail, commands, status, .. } = &mut self.core;
        if let Some(tail) = tail {
            tail.answer_read_back(|reply, at| commands.push_back(Command::Answer(reply, at)));
        }
        if !records.is_empty() {
            status.version += 1;
        }
        Ok(())
    }

    /// Takes in records of the inputs.
    fn take_in(&mut self, records: &[Fetched]) -> Result<(), Failure> {
        if self.settled_in && self.clock_off.is_none() && matches!(self.stage, Stage::Ready) {
            self.core.status.ready = true;
        }
        if records.is_empty() {
            return if matches!(self.stage, Stage::Draining(_)) { self.await_outcomes() } else { Ok(()) };
        }
        if self.clock_off.is_some() {
            self.held.extend_from_slice(records);
        } else {
            let (batch, machine, clock) = self.core.batch();
            batch.tick(machine, clock);
            self.core.handle(records);
        }
        Ok(())
    }

    /// All that is there was handed over.
    fn flush(&mut self) -> Result<(), Failure> {
        match self.stage {
            Stage::Draining(deadline) if self.change.is_some() || (self.core.stopwatch)() >= deadline => {
                self.await_outcomes()
            }
            Stage::Draining(deadline) => self.settle(After::Drained(deadline)),
            Stage::LastOutcomes(deadline) => self.last_batch_if_due(deadline),
            _ => {
                if self.clock_off.is_none() {
                    self.core.complete_overdue();
                    if self.core.machine.next_tick().is_some() {
                        let (batch, machine, clock) = self.core.batch();
                        batch.tick(machine, clock);
                    }
                }
                self.settle(After::Work)
            }
        }
    }

    /// Makes the batch in hand durable, if there is one.
    pub(super) fn settle(&mut self, after: After) -> Result<(), Failure> {
        let Some(mut batch) = self.core.batch.take().filter(|batch| batch.stepped) else {
            return self.commit(after);
        };
        self.core.check()?;
        let at = (self.core.stopwatch)();
        let appends = mem::take(&mut batch.appends);
        // Where there were as many inputs as a batch takes, there are more: waiting would only put them off.
        let comes_to_work = matches!(after, After::Election(_) | After::Elected(_));
        if !comes_to_work && !appends.is_empty() && batch.inputs < self.core.limits.records {
            self.rest = Some(batch.began + Duration::from_millis(self.core.limits.pace.as_millis()));
        }
        if appends.is_empty() {
            return self.durable(batch, &[], at, &[], after);
        }
        let appends = Arc::new(appends);
        self.core.command(Command::Append(Arc::clone(&appends)));
        self.stage = Stage::Appending(Box::new(Sent { batch, appends, at }), after);
        Ok(())
    }

    /// What the log refuses for its size is written as short as the machine can have it.
    pub(super) fn too_large(&mut self, error: LogError) -> Result<(), Failure> {
        let Stage::Appending(sent, _) = &mut self.stage else { return Ok(()) };
        let Some(auditor) = self.core.machine.auditor() else { return Err(error.into()) };
        let mut any = false;
        for append in Arc::make_mut(&mut sent.appends) {
            if let Some(shorter) = auditor.shortened(append) {
                *append = shorter;
                any = true;
            }
        }
        if !any {
            return Err(error.into());
        }
        let appends = Arc::clone(&sent.appends);
        self.core.command(Command::Append(appends));
        Ok(())
    }

    pub(super) fn appended(&mut self, positions: &[Position]) -> Result<(), Failure> {
        match mem::replace(&mut self.stage, Stage::Ready) {
            Stage::Appending(sent, after) => {
                let Sent { batch, appends, at } = *sent;
                self.durable(batch, &appends, at, positions, after)
            }
            other => {
                self.stage = other;
                Ok(())
            }
        }
    }

    /// All that a batch wrote is acknowledged: its effects start, its callers are answered.
    fn durable(
        &mut self,
        mut batch: Batch<R>,
        appends: &[Append],
        sent: Duration,
        positions: &[Position],
        after: After,
    ) -> Result<(), Failure> {
        let Core { effects, commands, clock, observer, service, stopwatch, tail, status, .. } =
            &mut self.core;
        effects.start(clock.now(), &mut batch.effects, |attempt, effect| {
            commands.push_back(Command::Start(attempt, effect));
        });
        for (append, position) in appends.iter().zip(positions) {
            observer.appended(*service, append, *position);
        }
        observer.batch(
            *service,
            batch.inputs,
            sent.saturating_sub(batch.began),
            stopwatch().saturating_sub(sent),
        );
        let mark = |(append, at): (&Append, &Position)| Mark { at: *at, id: append.message.id };
        let written = appends.iter().zip(positions).map(mark);
        if let After::Election(term) = after {
            self.await_elections(written.map(|mark| (mark.at.partition, mark)).collect(), term);
            return Ok(());
        }
        let answer = |reply, at| commands.push_back(Command::Answer(reply, at));
        let replies = batch.replies(positions);
        match (tail, after) {
            (Some(tail), After::Elected(elections)) => {
                tail.of_writer(elections);
                tail.wrote(written, replies, answer);
                self.go_to_work()
            }
            (Some(tail), after) => {
                tail.wrote(written, replies, answer);
                status.version += u64::from(batch.changed);
                self.commit(after)
            }
            (None, after) => {
                replies.into_iter().map(|(at, reply)| (reply, at)).for_each(|(reply, at)| {
                    commands.push_back(Command::Answer(reply, at));
                });
                status.version += u64::from(batch.changed);
                self.commit(after)
            }
        }
    }

    /// Notes from where another process would have to go on.
    fn commit(&mut self, after: After) -> Result<(), Failure> {
        // What a sole writer has handled is found again in its own records.
        if self.core.machine.sole_writer().is_some() {
            return self.go_on(after);
        }
        let due = self.core.inputs.due(&self.core.machine);
        if due.is_empty() {
            return self.go_on(after);
        }
        let due = Arc::new(due);
        self.core.command(Command::Commit(Arc::clone(&due)));
        self.stage = Stage::Committing(due, after);
        Ok(())
    }

    pub(super) fn committed(&mut self, outcome: Result<(), LogError>) -> Result<(), Failure> {
        match mem::replace(&mut self.stage, Stage::Ready) {
            Stage::Committing(due, after) => {
                match outcome {
                    Ok(()) => self.core.inputs.committed(&due),
                    // It is tried again after the next batch; until then a restart only reads more.
                    Err(error) => {
                        self.core.observer.retrying(self.core.service, ports::Stage::Commit, &error);
                    }
                }
                self.go_on(after)
            }
            other => {
                self.stage = other;
                Ok(())
            }
        }
    }

    fn go_on(&mut self, after: After) -> Result<(), Failure> {
        match after {
            After::Work | After::Election(_) | After::Elected(_) => self.next_batch(),
            After::Recovered(assigning) => self.read_again(assigning),
            After::Again(assigning) => self.read_on(assigning),
            After::Drained(deadline) => {
                self.stage = Stage::Draining(deadline);
                Ok(())
            }
            After::Last => {
                self.leave();
                Ok(())
            }
        }
    }

    /// Between two batches, when all that was written is acknowledged.
    pub(super) fn next_batch(&mut self) -> Result<(), Failure> {
        self.stage = Stage::Ready;
        match self.change.take() {
            Some(Change::Assigned(assigned)) => return self.assigned(assigned),
            Some(Change::Revoked(revoked)) => self.revoked(&revoked),
            None => {}
        }
        self.go_on_with_snapshots();
        Ok(())
    }

    fn revoked(&mut self, revoked: &[u32]) {
        self.held.retain(|fetched| !revoked.contains(&fetched.at().partition));
        let Core { machine, inputs, effects, observer, service, status, .. } = &mut self.core;
        for partition in revoked {
            machine.revoked(*partition);
            inputs.revoked(*partition);
            effects.drop_waiting_of(*partition);
            observer.revoked(*service, *partition);
        }
        status.version += 1;
    }
}

impl<M: Machine, R> Core<M, R> {
    /// How long until the machine wants to tick; a moment at least, so that a machine that always wants to cannot spin.
    pub(super) fn until_tick(&self) -> Duration {
        self.machine.next_tick().map_or(LONGEST_SLEEP, |at| {
            Duration::from_millis(at.since(self.clock.now()).as_millis().max(1)).min(LONGEST_SLEEP)
        })
    }

    /// Steps the machine on the effects that were not begun, as their time was over.
    fn complete_overdue(&mut self) {
        for effect in self.effects.take_overdue() {
            let outcome = EffectOutcome::from(PaymentOutcome::Overdue);
            self.observer.effect(self.service, &effect, &outcome, Duration::ZERO);
            let (batch, machine, clock) = self.batch();
            batch.completed(machine, clock, effect.order(), outcome);
        }
    }

    /// Steps the machine on records of its inputs.
    fn handle(&mut self, records: &[Fetched]) {
        let Self { batch, machine, clock, service, stopwatch, inputs, observer, .. } = self;
        let batch = batch.get_or_insert_with(|| Batch::new(*service, clock.as_ref(), stopwatch()));
        if let Some(writer) = machine.sole_writer() {
            writer.prefetch(&mut understood(records));
        }
        for fetched in records {
            match fetched {
                Fetched::Unreadable(record) => {
                    batch.unreadable(machine, clock.as_ref(), record);
                    observer.unreadable(*service, record);
                }
                Fetched::Record(record) => {
                    if inputs.admits(record) {
                        batch.handle(machine, clock.as_ref(), record);
                        observer.handled(*service, record, batch.now());
                    } else {
                        observer.fenced(*service, record.at);
                    }
                }
            }
            inputs.passed(fetched.at());
        }
    }
}
