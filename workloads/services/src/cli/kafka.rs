//! Options of the log on Kafka.

use std::path::PathBuf;

use clap::Args;

/// Where the log is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct KafkaOptions {
    /// The cluster: host:port[,host:port]
    #[arg(long, env = "KBNT_BOOTSTRAP_SERVERS", value_name = "SERVERS")]
    pub(crate) bootstrap_servers: String,
    /// Put before the names of topics and consumer groups
    #[arg(long, env = "KBNT_TOPIC_PREFIX", default_value = "", value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
    /// Who this process is, such as the name of its pod
    #[arg(long, env = "KBNT_INSTANCE", default_value = "kbnt", value_name = "NAME")]
    pub(crate) instance: String,
    /// Further properties of librdkafka, such as those of TLS and SASL: a file with key=value lines
    #[arg(long, env = "KBNT_KAFKA_PROPERTIES_FILE", value_name = "FILE")]
    pub(crate) kafka_properties_file: Option<PathBuf>,
}
