//! Why a run could not be made. What the services did wrong is no failure, but a violation.

use std::io;

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
