//! Programs of the system, and what is shown on its screen.

use std::fmt::Arguments;
use std::io::Write as _;
use std::process::{Command, Stdio};

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;

/// Runs the whole of the work on two threads.
pub(crate) fn block_on<R>(work: impl Future<Output = Result<R, Failure>>) -> Result<R, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(work)
}

/// Runs a program to its end; what it said. One that fails is a failure, with what it complained of.
pub(crate) fn run(command: &mut Command) -> Result<String, Failure> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(Failure::Script(format!("{command:?}: {}", complaint.trim())))
}

/// The same, while others go on.
pub(crate) async fn run_aside(mut command: Command) -> Result<String, Failure> {
    let ended = tokio::task::spawn_blocking(move || run(&mut command)).await;
    ended.map_err(|error| Failure::Script(error.to_string()))?
}

/// Returns when the program is told to stop, by SIGTERM or Ctrl-C.
pub(crate) async fn until_told() -> Result<bool, Failure> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Err(Failure::Late("it was told to stop".to_owned()))
}

/// Runs a program that says by its exit code whether all is well; shows what it comes to, and where it is not well all that it says.
pub(crate) async fn is_well(mut command: Command) -> Result<bool, Failure> {
    let ended = tokio::task::spawn_blocking(move || command.stdin(Stdio::null()).output()).await;
    let output = ended.map_err(|error| Failure::Script(error.to_string()))??;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        show(format_args!("{}", said.lines().last().unwrap_or_default()))?;
        return Ok(true);
    }
    show(format_args!("VIOLATION {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr)))?;
    Ok(false)
}

/// Shows a line; one that cannot be shown ends the run.
pub(crate) fn show(line: Arguments<'_>) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(Failure::Output)
}
