//! A run: load and harm, then peace until all orders have ended, then the check.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::check::{Checker, Figures, Truth, Violation};
use crate::cut;
use crate::failure::Failure;
use crate::faults::{self, Fault, Victims};
use crate::gateway::Gateway;
use crate::load::{Sales, Shop, Store};
use crate::network::Network;
use crate::options::Options;
use crate::report;
use crate::services::{Fleet, Settings};
use crate::system::{is_well, show, until_told};
use crate::topics::Topics;

/// Buyers at a time.
const BUYERS: u64 = 48;

/// How long it may take until all orders have ended and all of it is audited.
pub(crate) const PEACE: Duration = Duration::from_mins(10);

/// Whether everything held.
pub(crate) async fn run(options: Options) -> Result<bool, Failure> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    fastrand::seed(seed);
    // A second time it is installed already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let temporary = tempfile::tempdir()?;
    let directory = options.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    let logs = directory.join("logs");
    std::fs::create_dir_all(&logs)?;
    let broker = Broker::new(&options.broker.canonicalize()?, &temporary.path().join("broker")).await?;
    let mut network = Network::new()?;
    show(format_args!("seed {seed}; {} faults, {} orders", options.faults, options.orders))?;
    let bootstrap = broker.start().await?;
    let outcome = tokio::select! {
        outcome = on_broker(&options, &broker, &mut network, &bootstrap, &logs) => outcome,
        stopped = until_told() => stopped,
    };
    broker.stop().await?;
    outcome
}

async fn on_broker(
    options: &Options,
    broker: &Broker,
    network: &mut Network,
    bootstrap: &str,
    logs: &Path,
) -> Result<bool, Failure> {
    let started = Instant::now();
    let (gateway, client) = (Gateway::default(), reqwest::Client::builder().no_proxy().build()?);
    let topics = Topics::of(bootstrap).await?;
    topics.create().await?;
    let settings = Settings {
        kbnt: options.kbnt.canonicalize()?,
        logs: logs.to_owned(),
        bootstrap: bootstrap.to_owned(),
        gateway: gateway.start().await?,
        ttl: options.reservation_ttl.clone(),
        clock: options.clock.canonicalize()?,
        kept: None,
    };
    let mut fleet = Fleet::start(settings, network, client.clone())?;
    fleet.until_ready().await?;
    let shop = Shop {
        client: client.clone(),
        orders: fleet.url("order")?,
        inventory: fleet.url("inventory")?,
        count: options.orders,
        rate: options.rate,
        buyers: BUYERS,
        store: Store { scarce: 3, first: options.orders * 4, further: 0, every: Duration::from_secs(2) },
    };
    let (sales, plan) = (Sales::default(), Fault::plan(options.faults));
    let mut victims = Victims { fleet, broker: broker.clone(), topics, client: client.clone(), usurpers: 0 };
    let bought = async {
        sales.buy(&shop).await;
        show(format_args!("{:>4} s: all orders are acknowledged", started.elapsed().as_secs()))?;
        Ok(())
    };
    let harmed = async {
        let outcome = harm(&plan, &mut victims, options.pause, started).await;
        sales.close();
        outcome
    };
    let stored = async {
        sales.keep_store(&shop).await;
        Ok(())
    };
    let (ended, (), ()) = tokio::try_join!(harmed, bought, stored)?;
    victims.fleet.until_ready().await?;
    let mut checker = peace(&shop, &victims.topics).await?;
    sales.take().iter().for_each(|sale| checker.acknowledge(&sale.acknowledged));
    let truth = Truth { charges: gateway.charges(), levels: shop.levels().await? };
    show(format_args!("{:>4} s: all is quiet; checking", started.elapsed().as_secs()))?;
    let (violations, figures) = checker.finish(&truth);
    let verified = audit_verified(options, bootstrap).await?;
    let wrong = cut::inflict(&mut victims).await?;
    report(&plan, ended, &violations, &figures)?;
    show(format_args!("{} fenced writers went on", victims.usurpers))?;
    for what in &wrong {
        show(format_args!("VIOLATION {what}"))?;
    }
    show(format_args!("{} services went on with a log that was cut", wrong.len()))?;
    show(format_args!("in {} s", started.elapsed().as_secs()))?;
    Ok(violations.is_empty() && victims.usurpers == 0 && wrong.is_empty() && verified)
}

/// Inflicts all faults; how many services had ended by themselves.
async fn harm(plan: &[Fault], victims: &mut Victims, pause: u64, started: Instant) -> Result<u32, Failure> {
    let mut ended = 0;
    for (number, fault) in plan.iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..=pause))).await;
        show(format_args!("{:>4} s: fault {}: {fault:?}", started.elapsed().as_secs(), number + 1))?;
        fault.inflict(victims).await?;
        // Some come upon services that have not recovered from the one before.
        if fastrand::bool() {
            ended += victims.fleet.until_ready().await?;
        }
    }
    Ok(ended)
}

/// Waits until every order has ended, all of it is audited, and nothing is written any more; what was read.
async fn peace(shop: &Shop, topics: &Topics) -> Result<Checker, Failure> {
    let give_up = Instant::now() + PEACE;
    let mut before = None;
    loop {
        let pending = shop.pending().await;
        let ends = topics.ends().await?;
        let late = Instant::now() > give_up;
        if late {
            show(format_args!("it does not become quiet: {pending:?} orders are pending"))?;
        }
        if late || (pending == Some(0) && before.as_ref() == Some(&ends)) {
            let mut checker = Checker::default();
            topics.read(&ends, &mut checker).await?;
            // A service that has just come back may need longer than this loop takes to go on.
            let unaudited = checker.unaudited();
            if late || unaudited == 0 {
                return Ok(checker);
            }
            show(format_args!("nothing is written, and {unaudited} records are not audited"))?;
        }
        before = Some(ends);
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// What the program itself says of the audit trail.
async fn audit_verified(options: &Options, bootstrap: &str) -> Result<bool, Failure> {
    let mut command = Command::new(&options.kbnt);
    command.args(["audit", "verify", "--bootstrap-servers", bootstrap]).env_clear();
    is_well(command).await
}

fn report(plan: &[Fault], ended: u32, violations: &[Violation], figures: &Figures) -> Result<(), Failure> {
    show(format_args!("{} faults: {:?}", plan.len(), faults::count(plan)))?;
    show(format_args!("services that ended by themselves and were started again: {ended}"))?;
    report::show_all(violations, figures)
}
