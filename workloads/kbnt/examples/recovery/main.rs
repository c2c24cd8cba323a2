//! Measures how long inventory-service takes to be ready and to answer an order after kill -9 with a long
//! log, with a snapshot and without; and the peak memory of each service while it catches up with that log.
//!
//! `make bench-recovery` runs it on a broker of its own.

mod history;
mod service;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use kbnt_application::Topic;
use kbnt_kafka::{KafkaConfig, KafkaLog};

use history::{History, expect_answer};
use service::{Running, newest_snapshot};

/// Any error.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The required time.
const READY_WITH_SNAPSHOT: Duration = Duration::from_secs(3);
const READY_WITHOUT: Duration = Duration::from_secs(15);
const MEMORY: u64 = 256 << 20;

/// Measure starts of inventory-service after kill -9, and memory of all services while they catch up.
#[derive(Debug, Parser)]
struct Options {
    /// The `kbnt` program
    #[arg(long)]
    kbnt: PathBuf,
    /// A broker on this machine that has no topics of ours
    #[arg(long)]
    bootstrap: String,
    /// Events in inventory-events
    #[arg(long, default_value_t = 1_000_000)]
    events: u32,
    /// A directory for snapshots
    #[arg(long)]
    scratch: PathBuf,
    /// Leave out the services that catch up
    #[arg(long)]
    recovery_only: bool,
}

/// One start: kills the running process, and times the next one until it is ready and until it has answered
/// an order.
async fn start(
    options: &Options,
    history: &History,
    snapshots: bool,
    order: u32,
) -> Result<(Running, Duration, Duration), Failure> {
    let mut reader = history.read_from_end(Topic::InventoryEvents).await?;
    history.validate(order).await?;
    let directory = snapshots.then_some(options.scratch.as_path());
    let began = Instant::now();
    let service = Running::start(&options.kbnt, &options.bootstrap, "inventory", directory)?;
    let answered = expect_answer(reader.as_mut(), order);
    let (ready, answered) = tokio::try_join!(service.until_ready(), answered)?;
    Ok((service, ready - began, answered - began))
}

fn verdict(took: Duration, limit: Duration) -> &'static str {
    if took <= limit { "within the limit" } else { "TOO LONG" }
}

async fn recoveries(options: &Options, history: &History) -> Result<bool, Failure> {
    let orders = history.orders;
    let (first, ..) = start(options, history, true, orders).await?;
    first.until_caught_up().await?;
    let kept = newest_snapshot(&options.scratch);
    // Something new, so that there is a snapshot to keep, and then time for two: the second covers all
    // inputs.
    history.validate(orders + 1).await?;
    service::until("a snapshot", || async { newest_snapshot(&options.scratch) > kept }).await?;
    first.kill()?;
    let mut good = true;
    for (name, snapshots, limit, order) in [
        ("with a snapshot", true, READY_WITH_SNAPSHOT, orders + 2),
        ("without", false, READY_WITHOUT, orders + 3),
    ] {
        let (service, ready, answered) = start(options, history, snapshots, order).await?;
        println!(
            "{name:<16} ready after {:.2} s ({}), an order answered after {:.2} s; {} MiB at most",
            ready.as_secs_f64(),
            verdict(ready, limit),
            answered.as_secs_f64(),
            service.peak()? >> 20,
        );
        good &= ready <= limit;
        service.kill()?;
    }
    Ok(good)
}

async fn catching_up(options: &Options) -> Result<bool, Failure> {
    let mut good = true;
    for role in ["inventory", "user", "payment", "order", "notification", "audit"] {
        let began = Instant::now();
        let service = Running::start(&options.kbnt, &options.bootstrap, role, None)?;
        service.until_ready().await?;
        service.until_caught_up().await?;
        let peak = service.peak()?;
        let fits = peak <= MEMORY;
        println!(
            "{role:<16} caught up after {:.1} s; {} MiB at most{}",
            began.elapsed().as_secs_f64(),
            peak >> 20,
            if fits { "" } else { ", TOO MUCH" }
        );
        good &= fits;
        service.kill()?;
    }
    Ok(good)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode, Failure> {
    let options = Options::parse();
    service::make_topics(&options.kbnt, &options.bootstrap)?;
    let config = KafkaConfig {
        bootstrap_servers: options.bootstrap.clone(),
        instance: "history".into(),
        ..KafkaConfig::default()
    };
    let began = Instant::now();
    let history = History::write(KafkaLog::new(config)?, options.events / 2).await?;
    println!("{} in {:.0} s", history.lengths().await?, began.elapsed().as_secs_f64());
    let mut good = recoveries(&options, &history).await?;
    if !options.recovery_only {
        good &= catching_up(&options).await?;
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
