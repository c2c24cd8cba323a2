//! Options of `kbnt dlq`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kbnt_application::Position;

use super::TrailOptions;

/// What to do with the records that nobody understands.
#[derive(Debug, Subcommand)]
#[command(after_help = "In a pod of a service everything is set already:\n  \
    kubectl exec deploy/main-audit-service -- kbnt dlq list\n\n\
    replay and discard write to Kafka, or to the directory of a `kbnt serve` that is not running.")]
pub(crate) enum DlqCommand {
    /// List those that nobody has seen to yet
    List(ListOptions),
    /// Show one of them, whole
    Show(ShowOptions),
    /// Write one to its partition again, as it was or corrected
    Replay(ReplayOptions),
    /// Say that nothing is to be done about one
    Discard(DiscardOptions),
}

/// Options of `kbnt dlq list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Also those that were replayed or discarded
    #[arg(long, env = "KBNT_ALL")]
    pub(crate) all: bool,
    /// Print one JSON object instead of a table
    #[arg(long, env = "KBNT_JSON")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) trail: TrailOptions,
}

/// Options of `kbnt dlq show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// Print one JSON object; key, value and headers are in base64
    #[arg(long, env = "KBNT_JSON")]
    pub(crate) json: bool,
    /// Print its value as it is and nothing else, to be corrected in a file
    #[arg(long, env = "KBNT_RAW")]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) dead_letter: DeadLetterOptions,
}

/// Options of `kbnt dlq replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// The corrected value; /dev/stdin is a file too
    #[arg(long, env = "KBNT_VALUE_FILE", value_name = "FILE")]
    pub(crate) value: Option<PathBuf>,
    /// Another key
    #[arg(long, env = "KBNT_KEY", value_name = "TEXT")]
    pub(crate) key: Option<String>,
    /// Write it though nothing good can come of it, or though it was seen to already
    #[arg(long, env = "KBNT_FORCE")]
    pub(crate) force: bool,
    /// Why, for the audit trail
    #[arg(long, env = "KBNT_REASON", default_value = "", value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) who: WhoOptions,
    #[command(flatten)]
    pub(crate) dead_letter: DeadLetterOptions,
}

/// Options of `kbnt dlq discard`.
#[derive(Debug, Args)]
pub(crate) struct DiscardOptions {
    /// Why, for the audit trail
    #[arg(long, env = "KBNT_REASON", value_name = "TEXT")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) who: WhoOptions,
    #[command(flatten)]
    pub(crate) dead_letter: DeadLetterOptions,
}

/// Which one.
#[derive(Debug, Args)]
pub(crate) struct DeadLetterOptions {
    /// Where it lies, as `kbnt dlq list` says: TOPIC/PARTITION@OFFSET
    #[arg(env = "KBNT_DEAD_LETTER", value_name = "ID")]
    pub(crate) id: Position,
    #[command(flatten)]
    pub(crate) trail: TrailOptions,
}

/// Who does it.
#[derive(Debug, Args)]
pub(crate) struct WhoOptions {
    /// Your name, for the audit trail; the user's without it
    #[arg(long, env = "KBNT_BY", value_name = "NAME")]
    by: Option<String>,
}

impl WhoOptions {
    /// A name for the audit trail.
    pub(crate) fn name(&self) -> String {
        let user = || std::env::var("USER").ok();
        self.by.clone().or_else(user).unwrap_or_else(|| "unknown".to_owned())
    }
}
