//! Runs one of the two contenders: until everything is ready, for a while after that, and after a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use kbnt_crds::{Condition, OrderWorkflow, VirtualStock};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use super::audit::{Audit, Counts, POLICY};
use super::same::{self, Objects};
use crate::harness::{
    ApiServer, Bench, Failure, KAFKA, OPERATOR, Operator, SYSTEM, Start, Verdict, apply_manifest, expect,
    make_namespace, stock, workflow,
};

/// Requests of the suite itself that run at the same time.
const AT_ONCE: usize = 16;
/// After so long without a write, no more writes are expected.
const SETTLED: Duration = Duration::from_secs(10);
/// How often to check whether everything is ready, at most.
const LOOK: Duration = Duration::from_secs(2);
/// How long to wait without progress.
const PATIENCE: Duration = Duration::from_mins(10);

/// Who is measured.
pub(super) struct Contender<'a> {
    name: &'static str,
    /// Its ServiceAccount.
    account: &'static str,
    program: &'a Path,
    /// Its metrics for the number of reconciles, and for the objects that wait for one.
    metrics: (&'static str, &'static str),
}

impl Contender<'static> {
    /// The operator.
    pub(super) fn operator() -> Self {
        Self {
            name: "operator",
            account: "kbnt",
            program: Path::new(OPERATOR),
            metrics: ("kbnt_operator_reconciles_total", "kbnt_operator_queue_depth"),
        }
    }
}

impl<'a> Contender<'a> {
    /// The controller with controller-runtime.
    pub(super) fn beside(program: &'a Path) -> Self {
        Self {
            name: "controller-runtime",
            account: "beside",
            program,
            metrics: ("controller_runtime_reconcile_total", "workqueue_depth"),
        }
    }

    async fn start(&self, bench: &Bench, run: u32) -> Result<Operator, Failure> {
        let name = format!("{}-{run}", self.name);
        let how = Start { name: &name, account: (SYSTEM, self.account), env: &[("KBNT_LOG", "info")] };
        bench.start(self.program, &how).await
    }
}

/// The measurements.
pub(super) struct Figures {
    pub(super) name: &'static str,
    /// From the first declaration until everything is ready.
    pub(super) converged: Duration,
    pub(super) converging: Counts,
    /// Seconds of processor time until everything is ready.
    pub(super) converging_cpu: f64,
    /// The peak of memory, in bytes.
    pub(super) peak: u64,
    /// How long there was nothing to do.
    pub(super) quiet: Duration,
    pub(super) idle: Counts,
    pub(super) idle_cpu: f64,
    /// From the start of the second process until it has looked at everything.
    pub(super) restart: Duration,
    pub(super) restarted: Counts,
    pub(super) restarted_cpu: f64,
    pub(super) restarted_peak: u64,
    /// The objects of some of the pairs.
    pub(super) objects: Objects,
}

/// How long to measure the idle state: `KBNT_SCALE_QUIET`, in seconds.
fn quiet() -> Duration {
    let seconds = std::env::var("KBNT_SCALE_QUIET").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(300))
}

/// Measures one of them.
pub(super) async fn contest(contender: &Contender<'_>, pairs: u32) -> Result<Figures, Failure> {
    let server = Arc::new(ApiServer::start_audited(contender.name, Path::new(POLICY))?);
    let figures = match Bench::begin(Arc::clone(&server)).await {
        Ok(bench) => at_work(contender, &bench, pairs).await,
        Err(failure) => Err(failure),
    };
    server.stop();
    figures
}

async fn at_work(contender: &Contender<'_>, bench: &Bench, pairs: u32) -> Result<Figures, Failure> {
    apply_manifest(&bench.client, include_str!("beside.yaml")).await?;
    let user = format!("system:serviceaccount:{SYSTEM}:{}", contender.account);
    let mut audit = Audit::open(&bench.server.audit_log()?, user)?;

    let first = contender.start(bench, 0).await?;
    let begin = Instant::now();
    let open = stream::iter(0..pairs).map(|pair| open(&bench.client, pair)).buffer_unordered(AT_ONCE);
    open.try_collect::<Vec<()>>().await?;
    ready(&bench.client, &first, pairs).await?;
    let converged = begin.elapsed();
    println!("{}: {pairs} pairs ready after {:.0} s", contender.name, converged.as_secs_f64());
    settled(&mut audit).await?;
    let (converging, converging_cpu) = (audit.read()?, first.processor()?);

    tokio::time::sleep(quiet()).await;
    let idle = audit.read()?.since(&converging);
    let idle_cpu = first.processor()? - converging_cpu;
    let (peak, objects) = (first.peak()?, same::collect(&bench.client, pairs).await?);
    first.stop().await?;

    let before = audit.read()?;
    let begin = Instant::now();
    let second = contender.start(bench, 1).await?;
    let restart = all_seen(contender, &second, pairs, begin).await?;
    settled(&mut audit).await?;
    let figures = Figures {
        name: contender.name,
        converged,
        converging,
        converging_cpu,
        peak,
        quiet: quiet(),
        idle,
        idle_cpu,
        restart,
        restarted: audit.read()?.since(&before),
        restarted_cpu: second.processor()?,
        restarted_peak: second.peak()?,
        objects,
    };
    second.stop().await?;
    Ok(figures)
}

/// The namespace of a pair.
pub(super) fn namespace(pair: u32) -> String {
    format!("scale-{pair:04}")
}

/// Declares one pair.
async fn open(client: &Client, pair: u32) -> Verdict {
    let namespace = namespace(pair);
    make_namespace(client, &namespace).await?;
    let (stocks, workflows) =
        (Api::namespaced(client.clone(), &namespace), Api::namespaced(client.clone(), &namespace));
    stocks.create(&PostParams::default(), &stock(&namespace, KAFKA)?).await?;
    workflows.create(&PostParams::default(), &workflow()?).await?;
    Ok(())
}

/// Waits until all resources are ready, as long as there is progress.
async fn ready(client: &Client, operator: &Operator, pairs: u32) -> Verdict {
    let (stocks, workflows) =
        (Api::<VirtualStock>::all(client.clone()), Api::<OrderWorkflow>::all(client.clone()));
    let (mut most, mut since) = (0, Instant::now());
    loop {
        operator.runs()?;
        let (begin, all) = (Instant::now(), ListParams::default());
        let stocks = stocks.list(&all).await?.items.into_iter().filter_map(|stock| stock.status);
        let workflows = workflows.list(&all).await?.items.into_iter().filter_map(|workflow| workflow.status);
        let ready = stocks.filter(|status| is_ready(&status.conditions)).count()
            + workflows.filter(|status| is_ready(&status.conditions)).count();
        if ready == 2 * pairs as usize {
            return Ok(());
        }
        if ready > most {
            (most, since) = (ready, Instant::now());
        }
        expect(since.elapsed() < PATIENCE, || format!("stuck with {ready} ready"))?;
        // Looking uses the same machine as working, so most of the time it does not look.
        tokio::time::sleep(LOOK.max(begin.elapsed() * 9)).await;
    }
}

fn is_ready(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Waits until every resource was reconciled since the start, and none is queued. Returns the time since
/// `begin`.
async fn all_seen(
    contender: &Contender<'_>,
    operator: &Operator,
    pairs: u32,
    begin: Instant,
) -> Result<Duration, Failure> {
    let (reconciles, waiting) = contender.metrics;
    loop {
        operator.runs()?;
        if let Ok(done) = operator.metric(reconciles, &[], &[]).await
            && done >= f64::from(2 * pairs)
            && operator.metric(waiting, &[], &[]).await? == 0.0
        {
            return Ok(begin.elapsed());
        }
        expect(begin.elapsed() < PATIENCE, || "it does not converge".into())?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until writes have stopped.
async fn settled(audit: &mut Audit) -> Verdict {
    let (mut last, mut since, begin) = (audit.read()?.writes(), Instant::now(), Instant::now());
    while since.elapsed() < SETTLED {
        expect(begin.elapsed() < PATIENCE, || "it never stops writing".into())?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = audit.read()?.writes();
        if now > last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}
