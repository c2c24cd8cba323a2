//! A soak: orders for hours, while services are killed and the log is cut, and a check that never ends until they do.

mod fill;
mod harm;
mod plot;
mod sample;
mod table;
mod tail;
mod times;
mod verdict;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Mutex;

use crate::broker::Broker;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::load::{Sales, Shop, Store, USERS};
use crate::network::Network;
use crate::options::{PlotOptions, SoakOptions};
use crate::report;
use crate::services::{Fleet, Kept, Settings};
use crate::system::{is_well, run_aside, show, until_told};
use crate::topics::{TOPICS, Topics};
use harm::Done;
use sample::Layout;
use table::Table;
use watch::{Watch, Watched};

/// The log is cut in segments; what may be cut lies on disk until all of its segment may be.
const PROPERTIES: &str = "log.segment.bytes=16777216\nlog.retention.check.interval.ms=15000\n\
                          log.segment.delete.delay.ms=1000\nlog.initial.task.delay.ms=5000";

/// The event stores, which keep their records until they are cut.
const STORES: [&str; 4] = ["user-events", "order-events", "payment-events", "inventory-events"];

/// How often stock comes in.
const DELIVERIES: Duration = Duration::from_secs(10);

/// Units of each product that come in for an order. An order takes two of one product in ten on average, and as many of another one if it
/// is one of seven, so stock never runs out.
const UNITS: u64 = 1;

/// Whether everything held.
pub(crate) async fn run(options: SoakOptions) -> Result<bool, Failure> {
    // A second time it is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let layout = Layout::new(&options.directory)?;
    let broker = Broker::on_disk(&options.broker.canonicalize()?, &layout.broker, PROPERTIES)?;
    let mut network = Network::new()?;
    let bootstrap = broker.start().await?;
    let outcome = tokio::select! {
        outcome = on_broker(&options, &layout, &broker, &mut network, &bootstrap) => outcome,
        stopped = until_told() => stopped,
    };
    broker.stop().await?;
    outcome
}

/// Draws the plot of a run once more.
pub(crate) fn plot_again(options: &PlotOptions) -> Result<bool, Failure> {
    let table = Table::read(&options.from)?;
    write_plot(&table, &options.to)?;
    tell_of_course(&table)
}

fn write_plot(table: &Table, to: &Path) -> Result<(), Failure> {
    let svg = plot::draw(table).map_err(|error| Failure::Script(format!("the plot: {error}")))?;
    Ok(std::fs::write(to, svg)?)
}

/// Says whether memory and disk stayed as they were.
fn tell_of_course(table: &Table) -> Result<bool, Failure> {
    match verdict::judge(table) {
        Err(why) => {
            show(format_args!("whether memory and disk are flat is not judged: {why}"))?;
            Ok(true)
        }
        Ok(findings) => {
            findings.iter().try_for_each(|finding| show(format_args!("{finding}")))?;
            Ok(findings.iter().all(verdict::Finding::is_well))
        }
    }
}

async fn on_broker(
    options: &SoakOptions,
    layout: &Layout,
    broker: &Broker,
    network: &mut Network,
    bootstrap: &str,
) -> Result<bool, Failure> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let count = options.rate * options.duration.as_secs();
    let place = options.directory.display();
    show(format_args!("seed {seed}; {} orders a second, {count} in all; in {place}", options.rate))?;
    let (gateway, client) = (Gateway::default(), reqwest::Client::builder().no_proxy().build()?);
    make_topics(options, bootstrap).await?;
    let topics = Topics::of(bootstrap).await?;
    let settings = settings(options, layout, bootstrap, gateway.start().await?)?;
    let mut fleet = Fleet::start(settings, network, client.clone())?;
    fleet.until_ready().await?;
    let shop = shop(options, &fleet, client)?;
    let (fleet, sales, done) = (Mutex::new(fleet), Sales::default(), Done::default());
    let watch = Watch {
        options,
        layout,
        broker,
        topics: &topics,
        fleet: &fleet,
        gateway: &gateway,
        sales: &sales,
        shop: &shop,
        done: &done,
    };
    let harmed = async {
        if options.long_partitions > 0 {
            show(format_args!("{} partitions of inventory-events are made long", options.long_partitions))?;
            shop.declare_all(1).await;
            fill::lengthen(&topics, (&sales, &shop), options.long_partitions, &layout.checkpoints).await?;
        }
        let killed = harm::kill(options, seed, &fleet, &done);
        let cut = harm::cut(options, layout, bootstrap, &done);
        tokio::try_join!(sell(&sales, &shop), stock_up(&sales, &shop), killed, cut)?;
        let ended = fleet.lock().await.until_ready().await?;
        if ended > 0 {
            done.complain(format!("services had ended by themselves at the end, {ended} times"));
        }
        done.over.store(true, Ordering::Relaxed);
        Ok(())
    };
    let ((), watched) = tokio::try_join!(harmed, watch.run())?;
    let verified = verify(options, layout, bootstrap).await?;
    fleet.lock().await.stop().await?;
    tell(options, layout, &watched, &done).map(|well| well && verified)
}

/// What is bought where.
fn shop(options: &SoakOptions, fleet: &Fleet, client: reqwest::Client) -> Result<Shop, Failure> {
    let delivery = options.rate * DELIVERIES.as_secs() * UNITS;
    Ok(Shop {
        client,
        orders: fleet.url("order")?,
        inventory: fleet.url("inventory")?,
        count: options.rate * options.duration.as_secs(),
        rate: options.rate,
        // One order in four waits for its end, for up to 5 s while a service is away: the others come all the same.
        buyers: options.rate * 3 / 2 + 10,
        store: Store { scarce: 0, first: delivery * 6, further: delivery, every: DELIVERIES },
    })
}

async fn sell(sales: &Sales, shop: &Shop) -> Result<(), Failure> {
    show(format_args!("orders come"))?;
    sales.buy(shop).await;
    sales.close();
    show(format_args!("all orders are acknowledged"))
}

async fn stock_up(sales: &Sales, shop: &Shop) -> Result<(), Failure> {
    sales.keep_store(shop).await;
    Ok(())
}

/// The topics as the operator has them, but that the audit trail and notifications are gone sooner.
async fn make_topics(options: &SoakOptions, bootstrap: &str) -> Result<(), Failure> {
    let topic = |(name, partitions): (&str, i32)| {
        let is_store = STORES.contains(&name);
        let keep = if is_store { "-1".to_owned() } else { options.retention.as_millis().to_string() };
        let configs = json!({"max.message.bytes": "4194304", "retention.ms": keep});
        json!({"name": name, "partitions": partitions, "replicas": 1, "configs": configs})
    };
    let mut command = Command::new(&options.kbnt);
    command.args(["topics", "ensure", "--bootstrap-servers", bootstrap, "--wanted"]).env_clear();
    command.arg(json!(TOPICS.map(topic)).to_string());
    run_aside(command).await.map(drop)
}

fn settings(
    options: &SoakOptions,
    layout: &Layout,
    bootstrap: &str,
    gateway: String,
) -> Result<Settings, Failure> {
    let user =
        |number| json!({"userId": format!("USER-{number}"), "name": "Ana", "email": "ana@example.com"});
    std::fs::write(&layout.users, json!((0..USERS).map(user).collect::<Vec<_>>()).to_string())?;
    Ok(Settings {
        kbnt: options.kbnt.canonicalize()?,
        logs: layout.logs.clone(),
        bootstrap: bootstrap.to_owned(),
        gateway,
        ttl: options.reservation_ttl.clone(),
        clock: PathBuf::new(),
        kept: Some(Kept {
            snapshots: layout.snapshots.clone(),
            archive: layout.archive.clone(),
            history: layout.history.clone(),
            checkpoints: layout.checkpoints.clone(),
            checkpoint_interval: format!("{}ms", options.checkpoint_every.as_millis()),
            users: layout.users.clone(),
        }),
    })
}

/// What the program itself says of the log and of the trail.
async fn verify(options: &SoakOptions, layout: &Layout, bootstrap: &str) -> Result<bool, Failure> {
    let retention = format!("{}ms", options.retention.as_millis());
    let kept = ["--audit-retention", &retention, "--notification-retention", &retention];
    let mut well = true;
    for (what, more) in [("log", [].as_slice()), ("audit", &kept)] {
        let mut command = Command::new(&options.kbnt);
        command.args([what, "verify", "--bootstrap-servers", bootstrap]).args(more).env_clear();
        command.arg("--checkpoints").arg(&layout.checkpoints);
        well &= is_well(command).await?;
    }
    Ok(well)
}

/// Says what was found, and writes the plot; whether all is well.
fn tell(options: &SoakOptions, layout: &Layout, watched: &Watched, done: &Done) -> Result<bool, Failure> {
    let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
    show(format_args!(
        "{} kills, {} cuts, {} records cut; {} of {} partitions were never cut",
        count(&done.kills),
        count(&done.cuts),
        count(&done.records),
        done.uncut(),
        harm::PARTITIONS,
    ))?;
    report::show_all(&watched.violations, &watched.figures)?;
    let wrong = done.wrong();
    wrong.iter().try_for_each(|what| show(format_args!("VIOLATION {what}")))?;
    if count(&done.records) == 0 {
        show(format_args!("no record was cut: nothing is said here of a log that is"))?;
    }
    if let Some(plot) = &options.plot {
        write_plot(&watched.table, plot)?;
        std::fs::copy(&layout.measured, plot.with_extension("csv"))?;
        show(format_args!("the plot is in {}, and beside it what was measured", plot.display()))?;
    }
    let flat = tell_of_course(&watched.table)?;
    Ok(flat && watched.violations.is_empty() && wrong.is_empty())
}
