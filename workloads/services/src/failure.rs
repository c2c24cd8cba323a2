//! Why a command could not do its work.

use std::io;
use std::path::PathBuf;

use kbnt_application::ports::LogError;
use kbnt_infrastructure::embedded::OpenError;
use kbnt_infrastructure::lease::LeaseError;
use kbnt_infrastructure::logging::LoggingError;
use kbnt_infrastructure::outbound::OutboundError;
use kbnt_infrastructure::runtime::RunError;
use thiserror::Error;

/// For people; the exit code is 1 for all of them.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
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
