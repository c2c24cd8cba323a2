//! The operator's process.

use std::process::ExitCode;

use clap::Parser;
use kbnt_operator::cluster::connect;
use kbnt_operator::health::Health;
use kbnt_operator::metrics::Metrics;
use kbnt_operator::options::Options;
use kbnt_operator::run::run;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(EnvFilter::new(&options.log))
        .init();
    // One thread does all: the operator mostly waits, and each further thread has an arena of its own for memory.
    let runtime = tokio::runtime::Builder::new_current_thread()
        // For host name look-ups.
        .max_blocking_threads(4)
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(serve(options)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => {
            info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            error!(%error, "stopped");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let (metrics, health) = (Metrics::new()?, Health::default());
    let client = connect(kube::Config::infer().await?, &metrics, &health)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("stopping");
    };
    run(options, client, metrics, health, Box::pin(shutdown)).await?;
    Ok(())
}
