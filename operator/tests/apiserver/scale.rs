//! What the operator takes with many resources: `KBNT_SCALE=N`, or `make scale`.
//!
//! N VirtualStocks and N OrderWorkflows, each pair in a namespace of its own, with all that the operator makes of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};
use kbnt_crds::{Condition, OrderWorkflow, VirtualStock};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use crate::harness::{
    Failure, KAFKA, Operator, SYSTEM, Start, Suite, Verdict, expect, make_namespace, stock, workflow,
};

/// The most memory that the operator may ever take, in bytes.
const MEMORY: u64 = 100 << 20;
/// How long a restarted operator may take until it knows that all is well.
const RESTART: Duration = Duration::from_secs(30);
/// Requests of the suite itself that are under way at a time.
const AT_ONCE: usize = 16;
/// Where nothing was written for so long, nothing is on its way.
const SETTLED: Duration = Duration::from_secs(10);

/// How many pairs are asked for, if any.
pub(crate) fn wanted() -> Option<u32> {
    std::env::var("KBNT_SCALE").ok()?.parse().ok()
}

/// For how long nothing may be written: `KBNT_SCALE_QUIET`, in seconds.
fn quiet() -> Duration {
    let seconds = std::env::var("KBNT_SCALE_QUIET").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(300))
}

pub(crate) async fn measure(suite: &Suite, pairs: u32) -> Verdict {
    suite.operator.stop().await?;
    let operator = start(suite, "scale-0").await?;
    let begin = Instant::now();
    stream::iter(0..pairs)
        .map(|pair| open(&suite.client, pair))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    println!("{pairs} pairs declared in {:.0} s", begin.elapsed().as_secs_f64());
    converged(&suite.client, pairs).await?;
    println!("all of them ready after {:.0} s", begin.elapsed().as_secs_f64());
    settled(&operator).await?;
    report(&operator, pairs).await?;

    let (before, processor) = (writes(&operator).await?, operator.processor()?);
    tokio::time::sleep(quiet()).await;
    let idle = writes(&operator).await? - before;
    let spent = operator.processor()? - processor;
    println!("the next {} s: {idle} writes, {spent:.1} s of processor time", quiet().as_secs());
    let (memory, peak) = (operator.memory()? >> 20, operator.peak()?);
    println!("memory: {memory} MiB, {} MiB at most", peak >> 20);

    operator.stop().await?;
    let begin = Instant::now();
    let operator = start(suite, "scale-1").await?;
    let took = all_seen(&operator, pairs, begin).await?;
    settled(&operator).await?;
    let again = writes(&operator).await?;
    println!("after a restart: converged in {:.1} s, {again} writes", took.as_secs_f64());
    report(&operator, pairs).await?;
    operator.stop().await?;

    expect(idle == 0.0, || format!("{idle} writes though nothing changed"))?;
    expect(again == 0.0, || format!("{again} writes after a restart"))?;
    expect(took < RESTART, || format!("{} s to converge after a restart", took.as_secs()))?;
    expect(peak < MEMORY, || format!("{} MiB of memory", peak >> 20))
}

async fn start(suite: &Suite, name: &str) -> Result<Operator, Failure> {
    let env = [("KBNT_LOG", "info")];
    suite.another_operator(&Start { name, account: (SYSTEM, "kbnt"), env: &env }).await
}

/// Declares one pair.
async fn open(client: &Client, pair: u32) -> Verdict {
    let namespace = format!("scale-{pair:04}");
    make_namespace(client, &namespace).await?;
    let (stocks, workflows) =
        (Api::namespaced(client.clone(), &namespace), Api::namespaced(client.clone(), &namespace));
    stocks.create(&PostParams::default(), &stock(&namespace, KAFKA)?).await?;
    workflows.create(&PostParams::default(), &workflow()?).await?;
    Ok(())
}

/// Waits until all are ready, for as long as some become so.
async fn converged(client: &Client, pairs: u32) -> Verdict {
    let (stocks, workflows) =
        (Api::<VirtualStock>::all(client.clone()), Api::<OrderWorkflow>::all(client.clone()));
    let (mut most, mut since) = (0, Instant::now());
    loop {
        let all = ListParams::default();
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
        expect(since.elapsed() < Duration::from_mins(5), || format!("stuck with {ready} ready"))?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn is_ready(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Waits until every resource was reconciled since the start, and none waits. How long that took since `begin`.
async fn all_seen(operator: &Operator, pairs: u32, begin: Instant) -> Result<Duration, Failure> {
    loop {
        if let Ok(done) = operator.metric("kbnt_operator_reconciles_total", &[], &[]).await
            && done >= f64::from(2 * pairs)
            && operator.metric("kbnt_operator_queue_depth", &[], &[]).await? == 0.0
        {
            return Ok(begin.elapsed());
        }
        expect(begin.elapsed() < Duration::from_mins(5), || "it does not converge".into())?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Waits until nothing is written any more.
async fn settled(operator: &Operator) -> Verdict {
    let (mut last, mut since, begin) = (writes(operator).await?, Instant::now(), Instant::now());
    while since.elapsed() < SETTLED {
        expect(begin.elapsed() < Duration::from_mins(2), || "it never stops writing".into())?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = writes(operator).await?;
        if now > last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// Writes so far, apart from the lease.
async fn writes(operator: &Operator) -> Result<f64, Failure> {
    operator.metric("kbnt_operator_api_writes_total", &[], &["leases"]).await
}

/// Prints requests by verb and resource, reconciles, and what they took.
async fn report(operator: &Operator, pairs: u32) -> Verdict {
    let (_, text) = operator.get("/metrics").await?;
    let mut counts = BTreeMap::<(bool, String), f64>::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let write = series.starts_with("kbnt_operator_api_writes_total{");
        if !write && !series.starts_with("kbnt_operator_api_reads_total{") {
            continue;
        }
        let label = |name: &str| {
            series
                .split_once(&format!("{name}=\""))
                .and_then(|(_, rest)| rest.split('"').next())
                .unwrap_or("GET")
        };
        let key = format!("{} {} {}", label("method"), label("resource"), label("code"));
        *counts.entry((write, key)).or_default() += value.parse::<f64>()?;
    }
    for write in [true, false] {
        let of: Vec<_> = counts.iter().filter(|((is, _), _)| *is == write).collect();
        let sum: f64 = of.iter().map(|(_, count)| **count).sum();
        let what = if write { "writes" } else { "reads" };
        println!("{what}: {sum}, {:.1} a pair", sum / f64::from(pairs));
        for ((_, key), count) in of {
            println!("  {count:>7} {key}");
        }
    }
    let reconciles = operator.metric("kbnt_operator_reconciles_total", &[], &[]).await?;
    println!(
        "{reconciles} reconciles, {:.1} s of processor time, {} MiB of memory",
        operator.processor()?,
        operator.memory()? >> 20
    );
    Ok(())
}
