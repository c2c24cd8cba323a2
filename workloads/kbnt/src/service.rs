//! `kbnt service`: one service on Kafka.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use kbnt_adapters::clock::WatchedClock;
use kbnt_adapters::lease::{KubernetesLease, LeaseConfig};
use kbnt_adapters::metrics::Metrics;
use kbnt_application::Service;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::user::UserConfig;
use kbnt_kafka::KafkaLog;
use uuid::Uuid;

use crate::cli::{InventoryOptions, Role, ServiceOptions, UserOptions};
use crate::failure::Failure;
use crate::life::Life;
use crate::wiring::{self, Effects, Grants, LedgerState, Process, ProcessParts};

/// Maximum number of event streams: one of all events, or one that is behind, has its own Kafka consumer.
const STREAMS: usize = 64;

pub(crate) async fn run(options: ServiceOptions, life: Life) -> Result<ExitCode, Failure> {
    let service = Service::from(options.role);
    if service == Service::Payment && options.payment.url.is_none() && !options.payment.simulated {
        let unnamed = "payment-service needs a gateway: --payment-url URL (KBNT_PAYMENT_URL), or --payment-simulated \
                       (KBNT_PAYMENT_SIMULATED=true) for one that takes no money";
        return Err(Failure::Options(unnamed.to_owned()));
    }
    have_something_to_keep(&options)?;
    let logging = Arc::new(options.logging.init(Some(service))?);
    let log = Arc::new(KafkaLog::new(wiring::kafka_config(&options.kafka)?)?);
    logging.ship_to(log.clone());
    let effects = Arc::new(Effects::of(&options.payment, false, &options.notification)?);
    let spans = wiring::spans(&options.tracing, &[service])?;
    let users = user_config(&options.users, &options.inventory)?;
    let metrics = Arc::new(Metrics::new()?);
    let (state, lease) = match options.role {
        Role::Inventory => (LedgerState::of(&options.state, &metrics)?, lease(&options).await?),
        _ => (LedgerState::default(), None),
    };
    let mut process = Process::new(ProcessParts {
        log: log.clone(),
        clock: Arc::new(WatchedClock::new(options.clock.jump_limit)),
        effects,
        metrics: Arc::clone(&metrics),
        spans,
        topic_ids: options.topic_ids.ids.clone(),
        grants: Grants::of(&options.http, STREAMS),
        stop: life.at_work(),
    });
    process.show_logging(logging.clone(), Some(log.clone()));
    process.need_cluster(log);
    if matches!(options.role, Role::Inventory | Role::Payment) {
        process.need_clock();
    }
    match options.role {
        Role::User => {
            process.user(users, wiring::plan_of(&options.state, service, &metrics)?);
        }
        Role::Inventory => inventory(&mut process, &options, state, lease)?,
        Role::Payment => process.payment(),
        Role::Order => {
            let in_directory = |directory: &PathBuf| {
                let plan = options.history.plan(directory.clone());
                wiring::with_checkpoints(plan, &options.state, directory, &metrics)
            };
            let in_database = || options.history.plan_in_database(&options.kafka.topic_prefix);
            let directory = options.history_dir.as_ref().map(in_directory).transpose()?;
            process.order(options.history_postgres.then(in_database).transpose()?.or(directory));
        }
        Role::Notification => process.notification(),
        Role::Audit => process.audit(wiring::plan_of(&options.state, service, &metrics)?),
    }
    let address = process.listen(SocketAddr::new(options.address, options.port)).await?;
    tracing::info!(operation = "started", %address, version = env!("CARGO_PKG_VERSION"), "the service has started");
    process.finish().await?;
    tracing::info!(operation = "stopped", "the service has stopped");
    drop(logging);
    Ok(ExitCode::SUCCESS)
}

/// Checkpoints are of what the service has on disk.
fn have_something_to_keep(options: &ServiceOptions) -> Result<(), Failure> {
    if options.state.checkpoint_to.is_none() {
        return Ok(());
    }
    let (kept, missing) = match options.role {
        Role::Order if options.history_postgres => {
            let why = "--checkpoint-to keeps copies of what is on disk; --history-postgres has the history in a database, \
                       which has backups of its own";
            return Err(Failure::Options(why.to_owned()));
        }
        Role::Order => (&options.history_dir, "the history of orders: --history-dir DIR (KBNT_HISTORY_DIR)"),
        Role::Inventory | Role::User | Role::Audit => {
            (&options.state.snapshot_dir, "snapshots: --snapshot-dir DIR (KBNT_SNAPSHOT_DIR)")
        }
        Role::Payment | Role::Notification => return Ok(()),
    };
    if kept.is_some() {
        return Ok(());
    }
    Err(Failure::Options(format!("--checkpoint-to keeps copies of what is on disk, and needs {missing}")))
}

/// Starts inventory-service.
fn inventory(
    process: &mut Process,
    options: &ServiceOptions,
    state: LedgerState,
    lease: Option<Arc<KubernetesLease>>,
) -> Result<(), Failure> {
    let machine = inventory_machine(&options.inventory, &options.kafka.instance);
    let (machine, snapshots) = state.attach(machine, process);
    match lease {
        Some(lease) => process.inventory_by_turns(machine, snapshots, lease)?,
        None => {
            process.inventory(machine, snapshots);
        }
    }
    Ok(())
}

/// The lease by which inventory-service takes turns, if it does.
async fn lease(options: &ServiceOptions) -> Result<Option<Arc<KubernetesLease>>, Failure> {
    let named = options.standby.lease.clone().zip(options.standby.advertised_address);
    let Some(((namespace, name), address)) = named else { return Ok(None) };
    let address = SocketAddr::new(address, options.port);
    let owner = options.standby.lease_owner.clone();
    let config = LeaseConfig { namespace, name, owner, instance: options.kafka.instance.clone(), address };
    Ok(Some(Arc::new(KubernetesLease::find(config).await?)))
}

/// The configuration of user-service.
pub(crate) fn user_config(
    options: &UserOptions,
    inventory: &InventoryOptions,
) -> Result<UserConfig, Failure> {
    let declared = options.users_file.as_deref().map(wiring::users).transpose()?.unwrap_or_default();
    let (allow_unknown, window) = (options.allow_unknown_users, inventory.closed_order_window);
    Ok(UserConfig { allow_unknown, declared, window, ..UserConfig::default() })
}

/// The machine of inventory-service. The writer has a new name at each start.
pub(crate) fn inventory_machine(options: &InventoryOptions, instance: &str) -> InventoryMachine {
    InventoryMachine::new(InventoryConfig {
        ttl: options.reservation_ttl,
        low_stock_threshold: options.low_stock_threshold,
        window: options.closed_order_window,
        ..InventoryConfig::new(format!("{instance}-{}", Uuid::new_v4()))
    })
}
