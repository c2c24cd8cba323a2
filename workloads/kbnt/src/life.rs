//! The life of the process: it listens for signals from the first moment, and ends in time after one,
//! whatever it is waiting for.

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// How long a command at work may take to end in order. The sender of the signal waits at least 20 s.
const ORDERLY: Duration = Duration::from_secs(18);

/// How long to wait for a blocked thread at the very end.
const LAST: Duration = Duration::from_secs(1);

/// The process's life, as the command sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    stop: CancellationToken,
    at_work: Arc<AtomicBool>,
}

impl Life {
    /// From now on there is work to finish, and the command ends by itself after a signal. Before, it is cut
    /// off wherever it is: it may be waiting for a disk, a pipe or the network.
    pub(crate) fn at_work(&self) -> CancellationToken {
        self.at_work.store(true, Ordering::Release);
        self.stop.clone()
    }
}

/// A signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StopSignal {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl StopSignal {
    const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// The code that a shell shows for a process that this signal ended.
    fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        })
    }
}

/// SIGXFSZ, as Linux numbers it on every machine that this is built for.
const FILE_TOO_LARGE: i32 = 25;

/// Listens for signals.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// Handled only so that it does not end the process: a write beyond the file size limit then fails like
    /// one to a full disk.
    _too_large: Signal,
}

impl Signals {
    /// Must be called within a runtime.
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            _too_large: signal(SignalKind::from_raw(FILE_TOO_LARGE))?,
        })
    }

    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

/// The purpose of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It runs until a signal, which is its proper end.
    Serves,
    /// It does something and ends; if it is cut off before, it has failed.
    Does,
}

/// Runs a command on its own threads until it ends, or is cut off. The calling thread only listens and
/// measures time, so that no blocking call can prevent it from doing so.
pub(crate) fn run<F>(kind: Kind, threads: usize, command: impl FnOnce(Life) -> F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<ExitCode, Failure>> + Send + 'static,
{
    let listener = Builder::new_current_thread().enable_all().build()?;
    let signals = listener.block_on(async { Signals::listen() })?;
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let life = Life::default();
    let task = runtime.spawn(command(life.clone()));
    let outcome = listener.block_on(watch(kind, task, &life, signals));
    // A thread that is still blocked by then is abandoned.
    runtime.shutdown_timeout(LAST);
    outcome
}

async fn watch(
    kind: Kind,
    task: JoinHandle<Result<ExitCode, Failure>>,
    life: &Life,
    mut signals: Signals,
) -> Result<ExitCode, Failure> {
    let mut task = pin!(task);
    let received = tokio::select! {
        ended = &mut task => return ended?,
        received = signals.next() => received,
    };
    life.stop.cancel();
    match (life.at_work.load(Ordering::Acquire), kind) {
        (true, _) => {}
        (false, Kind::Serves) => return Ok(ExitCode::SUCCESS),
        (false, Kind::Does) => return Err(Failure::Stopped(received.name(), received.code())),
    }
    tokio::select! {
        ended = &mut task => ended?,
        again = signals.next() => Err(Failure::Stopped(again.name(), again.code())),
        () = tokio::time::sleep(ORDERLY) => Err(Failure::Stopped(received.name(), received.code())),
    }
}
