//! `kbnt simulator`: a broker of seven topics to play with.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use kbnt_adapters::clock::SystemClock;
use kbnt_embedded::EmbeddedLog;
use kbnt_http::{Limits, serve, simulator};

use crate::cli::{MEMORY_RECORDS, SimulatorOptions};
use crate::failure::Failure;
use crate::life::Life;
use crate::wiring;

pub(crate) async fn run(options: SimulatorOptions, life: Life) -> Result<ExitCode, Failure> {
    let logging = options.logging.init(None)?;
    let log = Arc::new(EmbeddedLog::window(MEMORY_RECORDS));
    let router = simulator(log, Arc::new(SystemClock));
    let listener = wiring::bind(SocketAddr::new(options.address, options.port)).await?;
    let address = listener.local_addr()?;
    tracing::info!(operation = "started", %address, "seven topics are at http://{address}/topics");
    serve(listener, router, Limits::default().within_descriptors(0), life.at_work()).await?;
    drop(logging);
    Ok(ExitCode::SUCCESS)
}
