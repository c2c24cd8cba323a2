//! Reads the log as it is written, has it checked, and measures, until all is quiet.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Mutex;

use super::harm::Done;
use super::sample::{DISKS, Layout, Process, Shares};
use super::table::{Kept, Table};
use super::tail::Tail;
use super::times::{Quantiles, Times};
use crate::broker::Broker;
use crate::check::{Checker, Figures, Truth, Violation};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::load::{Sales, Shop};
use crate::options::SoakOptions;
use crate::run::PEACE;
use crate::services::{Fleet, ROLES};
use crate::system::show;
use crate::topics::{Ends, Topics};

/// Records of one reading that are few enough to wait for more.
const FEW: usize = 500;

/// How long to wait for more.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it is asked whether all is quiet.
const QUIET: Duration = Duration::from_secs(5);

/// What is watched, and by what.
pub(super) struct Watch<'a> {
    pub(super) options: &'a SoakOptions,
    pub(super) layout: &'a Layout,
    pub(super) broker: &'a Broker,
    pub(super) topics: &'a Topics,
    pub(super) fleet: &'a Mutex<Fleet>,
    pub(super) gateway: &'a Gateway,
    pub(super) sales: &'a Sales,
    pub(super) shop: &'a Shop,
    pub(super) done: &'a Done,
}

/// What came of it.
pub(super) struct Watched {
    pub(super) violations: Vec<Violation>,
    pub(super) figures: Figures,
    pub(super) table: Table,
}

/// How far it is.
struct Progress {
    tail: Tail,
    checker: Checker,
    times: Times,
    measured: Kept,
    shares: Shares,
    began: Instant,
    /// When it was measured last, and how many orders there were.
    sampled: (Instant, u64),
    /// How many violations were told of.
    violations: usize,
    turned: Instant,
    /// What must be read before the next turn.
    turn_at: Option<Ends>,
}

impl Watch<'_> {
    pub(super) async fn run(&self) -> Result<Watched, Failure> {
        let mut progress = Progress {
            tail: Tail::of(self.topics).await?,
            checker: Checker::default(),
            times: Times::default(),
            measured: Kept::create(&self.layout.measured, Table::new(columns()))?,
            shares: Shares::default(),
            began: Instant::now(),
            sampled: (Instant::now(), 0),
            violations: 0,
            turned: Instant::now(),
            turn_at: None,
        };
        // These two have been at work before.
        for id in [self.broker_process().await?, std::process::id()] {
            progress.shares.of(id, Process::of(id), 1.0);
        }
        let (mut asked, mut before, mut over_since) = (Instant::now(), None, None);
        loop {
            let count = self.step(&mut progress).await?;
            if self.done.over.load(Ordering::Relaxed) && asked.elapsed() >= QUIET {
                let since = *over_since.get_or_insert_with(Instant::now);
                if self.is_quiet(&progress, &mut before, since).await? {
                    return self.judge(progress).await;
                }
                asked = Instant::now();
            }
            if count < FEW {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn broker_process(&self) -> Result<u32, Failure> {
        let pid = self.broker.pid().await?;
        pid.parse().map_err(|_| Failure::Script(format!("the broker has the process {pid:?}")))
    }

    /// Reads what there is, and does what is due; how many records it read.
    async fn step(&self, progress: &mut Progress) -> Result<usize, Failure> {
        for sale in self.sales.take() {
            progress.checker.acknowledge(&sale.acknowledged);
            progress.times.due(sale.acknowledged.id, millis(sale.due));
        }
        let count = progress.tail.read(&mut progress.checker, &mut progress.times).await?;
        if progress.sampled.0.elapsed() >= self.options.sample_every {
            self.sample(progress).await?;
        }
        self.turn(progress).await?;
        Ok(count)
    }

    /// Has the checker forget what is over, once it has read all that was there when that was due.
    async fn turn(&self, progress: &mut Progress) -> Result<(), Failure> {
        if progress.turn_at.is_none() && progress.turned.elapsed() >= self.options.turn {
            progress.turn_at = Some(self.topics.ends().await?);
        }
        if progress.turn_at.as_ref().is_some_and(|ends| progress.tail.has_reached(ends)) {
            (progress.turn_at, progress.turned) = (None, Instant::now());
            let forgotten = progress.checker.turn(|order| self.gateway.charge(order));
            self.gateway.forget(&forgotten);
            progress.times.forget(millis(SystemTime::now()));
        }
        Ok(())
    }

    /// Adds a row. Services that have ended by themselves are started again, and must not have.
    async fn sample(&self, progress: &mut Progress) -> Result<(), Failure> {
        let (processes, ended) = {
            let mut fleet = self.fleet.lock().await;
            let ended = fleet.revive()?;
            (fleet.processes(), ended)
        };
        for role in ended {
            let seconds = progress.began.elapsed().as_secs();
            show(format_args!("VIOLATION {role} has ended by itself"))?;
            self.done.complain(format!("{role} had ended by itself after {seconds} s"));
        }
        let violations = progress.checker.violations();
        if violations > progress.violations {
            progress.violations = violations;
            show(format_args!("{violations} violations so far"))?;
        }
        let broker = self.broker_process().await?;
        let layout = self.layout.clone();
        let disks = tokio::task::spawn_blocking(move || layout.disks()).await;
        let disks = disks.map_err(|error| Failure::Script(error.to_string()))??;
        let (now, orders) = (Instant::now(), progress.checker.acknowledged());
        let seconds = now.duration_since(progress.sampled.0).as_secs_f64();
        let more = orders - progress.sampled.1;
        progress.sampled = (now, orders);
        let took = progress.times.take().unwrap_or(Quantiles { p50: 0, p99: 0 });
        let done = |count: &std::sync::atomic::AtomicU64| float(count.load(Ordering::Relaxed));
        let mut row = vec![
            progress.began.elapsed().as_secs_f64(),
            float(orders),
            float(more) / seconds,
            float(took.p50.unsigned_abs()),
            float(took.p99.unsigned_abs()),
            done(&self.done.kills),
            done(&self.done.cuts),
            done(&self.done.records),
            float(self.done.uncut()),
            float(violations),
            float(progress.checker.unaudited()),
        ];
        let ids = ROLES.map(|role| processes.get(role).copied().unwrap_or_default());
        let ids: Vec<u32> = ids.into_iter().chain([broker, std::process::id()]).collect();
        let states: Vec<Process> = ids.iter().copied().map(Process::of).collect();
        row.extend(states.iter().map(|process| process.memory));
        row.extend(ids.iter().zip(&states).map(|(id, process)| progress.shares.of(*id, *process, seconds)));
        row.extend(disks.map(float));
        progress.measured.push(row)
    }

    /// Whether every order has ended, all of it is audited and read, and nothing is written any more; or it does not become so.
    async fn is_quiet(
        &self,
        progress: &Progress,
        before: &mut Option<Ends>,
        since: Instant,
    ) -> Result<bool, Failure> {
        let (pending, ends) = (self.shop.pending().await, self.topics.ends().await?);
        let unaudited = progress.checker.unaudited();
        if since.elapsed() > PEACE {
            show(format_args!("it does not become quiet: {pending:?} are pending, {unaudited} not audited"))?;
            return Ok(true);
        }
        let rests = before.as_ref() == Some(&ends) && progress.tail.has_reached(&ends);
        *before = Some(ends);
        Ok(pending == Some(0) && rests && unaudited == 0)
    }

    async fn judge(&self, mut progress: Progress) -> Result<Watched, Failure> {
        self.sample(&mut progress).await?;
        let truth = Truth { charges: self.gateway.charges(), levels: self.shop.levels().await? };
        let (violations, figures) = progress.checker.finish(&truth);
        Ok(Watched { violations, figures, table: progress.measured.table })
    }
}

/// The names of what is measured.
fn columns() -> Vec<String> {
    let first =
        "seconds,orders,orders_per_second,p50_ms,p99_ms,kills,cuts,records_cut,uncut,violations,unaudited";
    let processes = || ROLES.into_iter().chain(["broker", "checker"]);
    let of = |kind: &'static str| processes().map(move |name| format!("{kind}_{name}"));
    first
        .split(',')
        .map(str::to_owned)
        .chain(of("rss"))
        .chain(of("cpu"))
        .chain(DISKS.map(str::to_owned))
        .collect()
}

/// As a number that can be drawn; none here is so large that it would lose something that could be seen.
#[expect(clippy::cast_precision_loss, reason = "counts and bytes stay far below 2^53")]
fn float(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or_default() as f64
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
