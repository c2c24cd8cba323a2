//! Options of `kbnt log`.

use std::time::Duration;

use clap::{Args, Subcommand};
use kbnt_adapters::address;
use kbnt_adapters::objects::Address;
use kbnt_application::intact::TopicIds;

use super::place::PlaceParser;
use super::{AccessOptions, KafkaOptions, TrailOptions, values};

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Find records that are missing: at the beginning or the end of a topic, or with the whole topic
    Verify(LogVerifyOptions),
    /// Delete the oldest records of the event stores, as far as checkpoints stand for them and nobody needs them
    Cut(LogCutOptions),
}

/// Options of `kbnt log cut`.
#[derive(Debug, Args)]
#[command(after_help = "\
Kept is whatever anybody needs: a start with any checkpoint that is there, a consumer group of a service, a service that looks \
back over its newest records, whoever begins with the first record of inventory-events, and all that is younger than --keep. \
Checkpoints of inventory-service, user-service and audit-service must be there, and of the history of order-service unless \
--without-history says that there is none; they are read, and compared with the log. \
The services may be at work. Exit codes:
  0  it is cut, or there is nothing to cut
  1  the log or the place cannot be read or written
  2  wrong options
  3  a service has no checkpoint of this log: nothing was cut

Try it:
  kbnt log cut --bootstrap-servers localhost:9092 --checkpoints s3://shop-state/main --keep 30d --dry-run")]
pub(crate) struct LogCutOptions {
    /// The cluster: `host:port[,host:port]`
    #[arg(long, env = "KBNT_BOOTSTRAP_SERVERS", value_name = "SERVERS", value_parser = address::servers)]
    pub(crate) bootstrap_servers: String,
    /// Put before the names of topics
    #[arg(long, env = "KBNT_TOPIC_PREFIX", default_value = "", value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
    /// Where the services keep checkpoints: a directory, or `s3://BUCKET/PREFIX`
    #[arg(long, env = "KBNT_CHECKPOINT_TO", value_name = "PLACE", value_parser = PlaceParser)]
    pub(crate) checkpoints: Address,
    /// How old a record must be to be deleted, by the clock of its writer
    #[arg(long, env = "KBNT_LOG_KEEP", value_name = "TIME", value_parser = values::duration)]
    pub(crate) keep: Duration,
    /// Cut also without a checkpoint of the history of orders: there is none, or it is in a database, or one that is built anew may
    /// miss what is cut
    #[arg(long, env = "KBNT_WITHOUT_HISTORY")]
    pub(crate) without_history: bool,
    /// Only say what would be deleted
    #[arg(long, env = "KBNT_DRY_RUN")]
    pub(crate) dry_run: bool,
    /// Print one JSON object
    #[arg(long, env = "KBNT_JSON")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) topic_ids: TopicIdOptions,
    #[command(flatten)]
    pub(crate) access: AccessOptions,
}

impl LogCutOptions {
    /// How to reach Kafka.
    pub(crate) fn kafka(&self) -> KafkaOptions {
        KafkaOptions {
            bootstrap_servers: self.bootstrap_servers.clone(),
            topic_prefix: self.topic_prefix.clone(),
            instance: "kbnt-log-cut".to_owned(),
            static_member: None,
            access: self.access.clone(),
        }
    }
}

/// Which part of a log may have been cut.
#[derive(Debug, Args)]
pub(crate) struct CutOptions {
    /// Where the services keep checkpoints: an event store may begin where each of them can begin with one. Else a log that does not
    /// begin with its first record is damaged
    #[arg(long, env = "KBNT_CHECKPOINT_TO", value_name = "PLACE", value_parser = PlaceParser)]
    pub(crate) checkpoints: Option<Address>,
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
    pub(crate) cut: CutOptions,
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
