//! Why a command could not do its work.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use kbnt_adapters::lease::LeaseError;
use kbnt_adapters::logging::LoggingError;
use kbnt_adapters::outbound::OutboundError;
use kbnt_application::ports::LogError;
use kbnt_embedded::OpenError;
use kbnt_runtime::RunError;
use thiserror::Error;

/// For people.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was to be shown cannot be written.
    #[error("stdout cannot be written to: {0}")]
    Output(io::Error),
    /// A signal came before it was done.
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
    /// A file does not say what it should.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The options do not go together.
    #[error("{0}")]
    Options(String),
    /// What was asked for would do harm, or nothing.
    #[error("{0}")]
    Refused(String),
    /// The log cannot be used.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A directory cannot be opened as a log.
    #[error(transparent)]
    Open(#[from] OpenError),
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

/// The exit code of programs whose reader has gone away, as a shell shows it: 128 and the number of SIGPIPE.
const READER_GONE: u8 = 128 + 13;

impl Failure {
    /// The exit code: 1, unless a signal or a reader that has gone away ended the command.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Stopped(_, code) => *code,
            failure if failure.is_silent() => ExitCode::from(READER_GONE),
            _ => ExitCode::FAILURE,
        }
    }

    /// Whether nothing is to be said about it: whoever read what was shown has seen enough.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
