//! Options of `kbnt log`.

use clap::{Args, Subcommand};
use kbnt_application::intact::TopicIds;

use super::TrailOptions;

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Find records that are missing: at the beginning or the end of a topic, or with the whole topic
    Verify(LogVerifyOptions),
}

/// Options of `kbnt log verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
It reads every record of the six event topics once, in constant memory, and changes nothing; the services may be at work. \
What its records contain is the matter of `kbnt audit verify`. Exit codes:
  0  no record is missing, as far as the log can tell
  1  the log cannot be read, or a topic is not there
  2  wrong options
  3  records are missing, or a topic has another id than --kafka-topic-ids says
  4  the end of a data directory is torn, or nothing proves it")]
pub(crate) struct LogVerifyOptions {
    #[command(flatten)]
    pub(crate) from: TrailOptions,
    #[command(flatten)]
    pub(crate) topic_ids: TopicIdOptions,
    /// Print one JSON object; its `damage` has the fields of GET /v1/log
    #[arg(long, env = "KBNT_JSON")]
    pub(crate) json: bool,
}

/// Which topics are meant.
#[derive(Debug, Args)]
pub(crate) struct TopicIdOptions {
    /// The ids that topics must have, as Kafka prints them: order-events=ID,inventory-events=ID (names without prefix). A
    /// topic of the same name with another id is refused
    #[arg(
        id = "topic_ids",
        long = "kafka-topic-ids",
        env = "KBNT_KAFKA_TOPIC_IDS",
        default_value = "",
        hide_default_value = true,
        value_name = "NAME=ID,..."
    )]
    pub(crate) ids: TopicIds,
}
