//! Options of `kbnt topics`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use kbnt_adapters::address;

use super::{AccessOptions, KafkaOptions, values};

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Make the topics that are missing and correct the settings of those that are there; this is what the operator runs
    /// where Strimzi does not
    Ensure(EnsureOptions),
}

/// Options of `kbnt topics ensure`.
#[derive(Debug, Args)]
#[command(
    after_help = "It prints a report as JSON. A topic with another number of partitions or copies is reported and left \
                        as it is, and nothing is ever deleted.\n\n\
                        Exit code: 0 if every topic is as it should be, 2 if another try may help, 1 if none will.\n\n\
                        Try it:\n  \
    kbnt topics ensure --bootstrap-servers localhost:9092 --wanted \\\n       \
    '[{\"name\": \"order-events\", \"partitions\": 3, \"replicas\": 1, \"configs\": {\"retention.ms\": \"-1\"}}]'"
)]
pub(crate) struct EnsureOptions {
    /// The cluster: `host:port[,host:port]`
    #[arg(long, env = "KBNT_BOOTSTRAP_SERVERS", value_name = "SERVERS", value_parser = address::servers)]
    pub(crate) bootstrap_servers: String,
    /// The topics as JSON: [{"name", "partitions", "replicas", "configs": {"retention.ms": "-1"}}], with their whole names
    #[arg(long, env = "KBNT_WANTED_TOPICS", value_name = "JSON", required_unless_present = "wanted_file")]
    pub(crate) wanted: Option<String>,
    /// A file with that JSON instead
    #[arg(long, env = "KBNT_WANTED_TOPICS_FILE", value_name = "FILE", conflicts_with = "wanted")]
    pub(crate) wanted_file: Option<PathBuf>,
    /// How long what fails is tried again
    #[arg(long, env = "KBNT_TOPICS_WITHIN", default_value = "30s", value_name = "TIME", value_parser = values::duration)]
    pub(crate) within: Duration,
    /// Write the report here too, in at most 4096 bytes: the longest that Kubernetes takes as a pod's last words
    #[arg(long, env = "KBNT_REPORT_FILE", value_name = "FILE")]
    pub(crate) report_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) access: AccessOptions,
}

impl EnsureOptions {
    /// How to reach Kafka.
    pub(crate) fn kafka(&self) -> KafkaOptions {
        KafkaOptions {
            bootstrap_servers: self.bootstrap_servers.clone(),
            // The topics have their whole names.
            topic_prefix: String::new(),
            instance: "kbnt-topics".to_owned(),
            static_member: None,
            access: self.access.clone(),
        }
    }
}
