//! `kbnt serve`: all six services in one process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kbnt_adapters::clock::WatchedClock;
use kbnt_adapters::metrics::Metrics;
use kbnt_application::Service;
use kbnt_application::intact::TopicIds;
use kbnt_application::inventory::InventoryMachine;
use kbnt_application::ports::CallError;
use kbnt_domain::stock::{Declaration, DeclareError};
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::Handle;

use crate::cli::ServeOptions;
use crate::failure::Failure;
use crate::life::Life;
use crate::service::{inventory_machine, user_config};
use crate::wiring::{self, Effects, Grants, LedgerState, Process, ProcessParts, plan_in_data_dir};

/// Maximum number of event streams.
const STREAMS: usize = 1024;

/// Products of the seed file that are declared at once.
const AT_ONCE: usize = 256;

/// The pause before a product whose declaration was not possible yet is declared again.
const AGAIN: Duration = Duration::from_millis(5);

pub(crate) async fn run(options: ServeOptions, life: Life) -> Result<ExitCode, Failure> {
    let logging = Arc::new(options.logging.init(None)?);
    let seed = options.seed_file.as_deref().map(wiring::seed).transpose()?.unwrap_or_default();
    let log = Arc::new(open(options.data_dir.as_deref(), options.memory_records)?);
    logging.ship_to(log.clone());
    let effects = Arc::new(Effects::of(&options.payment, true, &options.notification)?);
    let spans = wiring::spans(&options.tracing, &Service::ALL)?;
    let mut users = user_config(&options.users, &options.inventory)?;
    users.declared.extend(seed.users);
    let stop = life.at_work();
    let seeded = Arc::new(AtomicBool::new(seed.stock.is_empty()));
    let files = log.clone();
    let mut process = Process::new(ProcessParts {
        log,
        clock: Arc::new(WatchedClock::new(options.clock.jump_limit)),
        effects,
        metrics: Arc::new(Metrics::new()?),
        spans,
        topic_ids: TopicIds::default(),
        grants: Grants::of(&options.http, STREAMS),
        stop,
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
    let every = options.snapshots.snapshot_interval;
    let data_dir = options.data_dir.as_deref();
    let state = data_dir.map(|directory| LedgerState::in_data_dir(directory, every));
    let users_kept = data_dir.and_then(|directory| plan_in_data_dir(directory, Service::User, every));
    let audit_kept = data_dir.and_then(|directory| plan_in_data_dir(directory, Service::Audit, every));
    let machine = inventory_machine(&options.inventory, "serve");
    let (machine, snapshots) = state.unwrap_or_default().attach(machine, &mut process);
    process.order(options.data_dir.map(|directory| options.history.plan(directory)));
    process.user(users, users_kept);
    let inventory = process.inventory(machine, snapshots);
    process.payment();
    process.notification();
    process.audit(audit_kept);
    process.need_seed(Arc::clone(&seeded));
    let address = process.listen(SocketAddr::new(options.address, options.port)).await?;
    tracing::info!(operation = "started", %address, "the shop is open: http://{address}/v1/orders");
    // The HTTP server is up meanwhile: with a full disk, this waits as long as the log takes no records.
    let declaring = async {
        match declare(&inventory, seed.stock).await {
            Ok(()) => seeded.store(true, Ordering::Release),
            Err(error) => {
                tracing::error!(operation = "seed-undeclared", %error, "the seed file is not declared");
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        finished = process.finish() => finished?,
        () = declaring => {}
    }
    tracing::info!(operation = "stopped", "the shop is closed");
    drop(logging);
    Ok(ExitCode::SUCCESS)
}

/// The log: durable in `directory`, or without one the newest records in memory.
fn open(directory: Option<&Path>, memory_records: usize) -> Result<EmbeddedLog, Failure> {
    let Some(directory) = directory else { return Ok(EmbeddedLog::window(memory_records)) };
    let log = EmbeddedLog::open(directory)?;
    let found = log.recovery();
    tracing::info!(
        operation = "log-opened", directory = %directory.display(), id = %log.id(), records = found.records,
        seconds = found.took.as_secs_f64(), "the log is open"
    );
    Ok(log)
}

/// Declares the stock of the seed file in its order, once the inventory is ready.
async fn declare(inventory: &Handle<InventoryMachine>, stock: Vec<Declaration>) -> Result<(), CallError> {
    let mut stock = stock.into_iter();
    loop {
        let mut some: Vec<Declaration> = stock.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return Ok(());
        }
        while !some.is_empty() {
            some = declare_some(inventory, some).await?;
            if !some.is_empty() {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Declares all of these at once. Returns those that must be declared again in a moment.
async fn declare_some(
    inventory: &Handle<InventoryMachine>,
    wishes: Vec<Declaration>,
) -> Result<Vec<Declaration>, CallError> {
    let theirs = wishes.clone();
    let declared = inventory.call(move |machine, outbox| {
        theirs.iter().map(|wish| machine.declare(wish, outbox).err()).collect::<Vec<_>>()
    });
    let errors = match declared.await {
        Ok(errors) => errors,
        Err(CallError::NotReady | CallError::Late) => return Ok(wishes),
        Err(error) => return Err(error),
    };
    let mut again = Vec::new();
    for (wish, error) in wishes.into_iter().zip(errors) {
        match error {
            None => {}
            Some(DeclareError::NotOpen | DeclareError::Unsettled { .. }) => again.push(wish),
            Some(error) => {
                tracing::error!(operation = "seed-refused", %error, "a product of the seed file stays as it is");
            }
        }
    }
    Ok(again)
}
