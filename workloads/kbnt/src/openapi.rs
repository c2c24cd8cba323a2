//! `kbnt openapi`: the description of the whole HTTP API, as `kbnt serve` serves it.

use std::process::ExitCode;
use std::sync::Arc;

use kbnt_adapters::clock::SystemClock;
use kbnt_adapters::metrics::Metrics;
use kbnt_adapters::payment::SimulatedRules;
use kbnt_application::intact::TopicIds;
use kbnt_application::inventory::{InventoryConfig, InventoryMachine};
use kbnt_application::user::UserConfig;
use kbnt_embedded::EmbeddedLog;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::output;
use crate::wiring::{Effects, Grants, Process, ProcessParts};

/// Routes belong to running services, so the services with routes are started, on a log without writers.
pub(crate) async fn run() -> Result<ExitCode, Failure> {
    let mut process = Process::new(ProcessParts {
        log: Arc::new(EmbeddedLog::in_memory()),
        clock: Arc::new(SystemClock),
        effects: Arc::new(Effects::simulated(SimulatedRules::default())),
        metrics: Arc::new(Metrics::new()?),
        spans: None,
        topic_ids: TopicIds::default(),
        grants: Grants::to_itself(),
        stop: CancellationToken::new(),
    });
    process.order(None);
    process.user(UserConfig::default(), None);
    process.inventory(InventoryMachine::new(InventoryConfig::new("openapi")), None);
    let (_, description) = process.router();
    process.abandon().await;
    let text = description.to_pretty_json().map_err(std::io::Error::from)?;
    output::bytes(format!("{text}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
