//! `kbnt serve`: all six services in one process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kbnt_application::Service;
use kbnt_application::inventory::InventoryMachine;
use kbnt_domain::stock::Declaration;
use kbnt_infrastructure::clock::WatchedClock;
use kbnt_infrastructure::embedded::EmbeddedLog;
use kbnt_infrastructure::intact::TopicIds;
use kbnt_infrastructure::metrics::Metrics;
use kbnt_infrastructure::runtime::{CallError, Handle};

use crate::cli::ServeOptions;
use crate::failure::Failure;
use crate::life::Life;
use crate::service::{inventory_config, user_config};
use crate::wiring::{self, Effects, Grants, Process, ProcessParts};

/// Event streams at a time.
const STREAMS: usize = 1024;

pub(crate) async fn run(options: ServeOptions, life: Life) -> Result<ExitCode, Failure> {
    let logging = Arc::new(options.logging.init(None)?);
    let seed = options.seed_file.as_deref().map(wiring::seed).transpose()?.unwrap_or_default();
    let log = Arc::new(open(options.data_dir.as_deref())?);
    logging.ship_to(log.clone());
    let effects = Arc::new(Effects::of(&options.payment, true, &options.notification)?);
    let spans = wiring::spans(&options.tracing, &Service::ALL)?;
    let mut users = user_config(&options.users)?;
    users.declared.extend(seed.users);
    let stop = life.at_work();
    let files = log.clone();
    let mut process = Process::new(ProcessParts {
        log,
        clock: Arc::new(WatchedClock::new(options.clock.jump_limit)),
        effects,
        metrics: Arc::new(Metrics::new()?),
        spans,
        topic_ids: TopicIds::default(),
        grants: Grants::of(&options.http, STREAMS),
        stop: stop.clone(),
    });
    if options.payment.url.is_none() {
        tracing::info!(
            operation = "payment-simulated",
            test_tokens = options.payment.test_tokens.unwrap_or(true),
            "no money is taken: payments go to a simulated gateway (--payment-url names a real one)"
        );
    }
    process.show_logging(logging.clone(), None);
    process.need_clock();
    process.need_files(files);
    process.order();
    process.user(users);
    let inventory = process.inventory(inventory_config(&options.inventory, "serve"), None);
    process.payment();
    process.notification();
    process.audit();
    // It waits for as long as the log takes no records, such as on a disk that is full.
    if let Some(declared) = stop.run_until_cancelled(declare(&inventory, seed.stock)).await {
        declared?;
        let address = process.listen(SocketAddr::new(options.address, options.port)).await?;
        tracing::info!(operation = "started", %address, "the shop is open: http://{address}/v1/orders");
    }
    process.finish().await?;
    tracing::info!(operation = "stopped", "the shop is closed");
    drop(logging);
    Ok(ExitCode::SUCCESS)
}

/// The log: durable in `directory`, or in memory without one.
fn open(directory: Option<&Path>) -> Result<EmbeddedLog, Failure> {
    let Some(directory) = directory else { return Ok(EmbeddedLog::in_memory()) };
    let log = EmbeddedLog::open(directory)?;
    let found = log.recovery();
    tracing::info!(
        operation = "log-opened", directory = %directory.display(), id = %log.id(), records = found.records,
        seconds = found.took.as_secs_f64(), "the log is open"
    );
    Ok(log)
}

/// Declares the stock of the seed file, once the inventory is ready.
async fn declare(inventory: &Handle<InventoryMachine>, stock: Vec<Declaration>) -> Result<(), Failure> {
    for declaration in stock {
        let refused = |error: &dyn std::fmt::Display| Failure::Options(format!("the seed file: {error}"));
        loop {
            let wish = declaration.clone();
            match inventory.call(move |machine, outbox| machine.declare(&wish, outbox)).await {
                Ok(Ok(_)) => break,
                Ok(Err(kbnt_domain::stock::DeclareError::NotOpen))
                | Err(CallError::NotReady | CallError::Late) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Ok(Err(error)) => return Err(refused(&error)),
                Err(error) => return Err(refused(&error)),
            }
        }
    }
    Ok(())
}
