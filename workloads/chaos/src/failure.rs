//! Why a run could not be made. What the services did wrong is no failure, but a violation.

use std::io::{self, Write as _};
use std::process::ExitCode;

use thiserror::Error;

/// For people.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// stdout is closed or full.
    #[error("stdout cannot be written to: {0}")]
    Output(io::Error),
    /// Kafka refused.
    #[error("Kafka: {0}")]
    Kafka(#[from] rskafka::client::error::Error),
    /// HTTP failed.
    #[error("HTTP: {0}")]
    Http(#[from] reqwest::Error),
    /// A script failed.
    #[error("{0}")]
    Script(String),
    /// Something did not happen in time.
    #[error("not in time: {0}")]
    Late(String),
}

/// The exit code where whoever reads has gone away, as a shell shows it: 128 and the number of SIGPIPE.
const READER_GONE: u8 = 128 + 13;

impl Failure {
    /// Says why there was no run; the exit code. A reader that has gone away is no reason to say anything.
    pub(crate) fn explain(&self) -> ExitCode {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(READER_GONE),
            failure => {
                // Where stderr cannot be written to, nobody can be told.
                let _ = writeln!(io::stderr().lock(), "kbnt-chaos: {failure}");
                if matches!(failure, Self::Output(_)) { ExitCode::FAILURE } else { ExitCode::from(2) }
            }
        }
    }
}
