//! Why a command failed.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use kbnt_adapters::backup::BackupError;
use kbnt_adapters::checkpoints::CheckpointError;
use kbnt_adapters::lease::LeaseError;
use kbnt_adapters::logging::LoggingError;
use kbnt_adapters::objects::PlaceError;
use kbnt_adapters::outbound::OutboundError;
use kbnt_application::ports::LogError;
use kbnt_embedded::OpenError;
use kbnt_runtime::RunError;
use thiserror::Error;

/// The failure, with a text for people.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The system refused a call.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The output cannot be written.
    #[error("stdout cannot be written to: {0}")]
    Output(io::Error),
    /// A signal came before the command was done.
    #[error("ended by {0} before it was done")]
    Stopped(&'static str, ExitCode),
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file has the wrong content.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The request would do harm, or nothing.
    #[error("{0}")]
    Refused(String),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A directory cannot be opened as a log.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A backup cannot be taken or restored.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// A directory or a bucket cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Checkpoints cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Logging cannot be set up.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// Metrics cannot be set up.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// No HTTP client.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// Spans cannot be sent.
    #[error("the OpenTelemetry collector: {0}")]
    Tracing(String),
    /// The lease cannot be asked for.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A service stopped by itself.
    #[error("{service} stopped: {error}")]
    Service {
        /// Which.
        service: &'static str,
        /// Why.
        error: RunError,
    },
    /// A task ended by a panic: a bug.
    #[error("a task broke: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// The exit code of programs whose reader is gone, as a shell shows it: 128 plus the number of SIGPIPE.
const READER_GONE: u8 = 128 + 13;

impl Failure {
    /// The exit code: 1, unless a signal or a reader that is gone ended the command.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Stopped(_, code) => *code,
            failure if failure.is_silent() => ExitCode::from(READER_GONE),
            _ => ExitCode::FAILURE,
        }
    }

    /// Whether nothing needs to be printed: the reader of the output has seen enough.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
