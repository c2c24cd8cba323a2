//! The operator's process: its command line, its log, its signals and its exit code.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::{self, Write as _};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::health::Health;
use crate::kube::connect;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::run::run;

/// The exit code when the reader of stdout is gone, as a shell shows it: 128 plus the number of SIGPIPE.
const READER_GONE: u8 = 128 + 13;

/// Runs the operator until a signal asks it to stop.
pub fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(error) => return explain(&error),
    };
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(EnvFilter::new(&options.log))
        .init();
    // One thread suffices: the operator mostly waits, and every further thread has its own arena of memory.
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

/// Prints the help or the version, or what is wrong with the command line.
fn explain(error: &clap::Error) -> ExitCode {
    match error.print().and_then(|()| io::stdout().flush()) {
        Err(failed) if !error.use_stderr() && failed.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(READER_GONE)
        }
        Err(failed) if !error.use_stderr() => {
            // Where stderr cannot be written to, there is nowhere to report it.
            let _ = writeln!(io::stderr().lock(), "kbnt-operator: stdout cannot be written to: {failed}");
            ExitCode::FAILURE
        }
        _ => u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

async fn serve(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    // This comes first: the first process of a container ignores a signal for which it has no handler.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (metrics, health) = (Metrics::new()?, Health::default());
    let client = connect(kube::Config::infer().await?, &metrics, &health)?;
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
