//! Options of the programs that read events.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use kbnt_adapters::address;
use reqwest::Url;

use super::{AccessOptions, KafkaOptions};

/// Where events are read from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where from")]
pub(crate) struct OriginOptions {
    /// A running `kbnt serve` or `kbnt simulator`
    #[arg(id = "origin_url", long = "url", env = "KBNT_URL", default_value = "http://127.0.0.1:8080", value_name = "URL", value_parser = address::base)]
    pub(crate) url: Url,
    /// Kafka instead: `host:port[,host:port]`
    #[arg(long, env = "KBNT_BOOTSTRAP_SERVERS", value_name = "SERVERS", value_parser = address::servers)]
    pub(crate) bootstrap_servers: Option<String>,
    /// Put before the names of topics
    #[arg(long, env = "KBNT_TOPIC_PREFIX", default_value = "", value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
    #[command(flatten)]
    pub(crate) access: AccessOptions,
}

impl fmt::Display for OriginOptions {
    /// Where that is, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bootstrap_servers {
            Some(servers) if self.topic_prefix.is_empty() => write!(f, "Kafka at {servers}"),
            Some(servers) => write!(f, "Kafka at {servers}, topics {}*", self.topic_prefix),
            None => f.write_str(self.url.as_str().trim_end_matches('/')),
        }
    }
}

impl OriginOptions {
    /// How to reach Kafka, if that is where events are read from.
    pub(crate) fn kafka(&self) -> Option<KafkaOptions> {
        Some(KafkaOptions {
            bootstrap_servers: self.bootstrap_servers.clone()?,
            topic_prefix: self.topic_prefix.clone(),
            instance: "kbnt-reader".to_owned(),
            static_member: None,
            access: self.access.clone(),
        })
    }
}

impl fmt::Display for TrailOptions {
    /// Where that is, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data_dir {
            Some(directory) => write!(f, "{}", directory.display()),
            None => self.origin.fmt(f),
        }
    }
}

/// Where an audit trail is read from.
#[derive(Debug, Args)]
pub(crate) struct TrailOptions {
    /// The directory of a `kbnt serve --data-dir` that is not running
    #[arg(long, env = "KBNT_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) origin: OriginOptions,
}
