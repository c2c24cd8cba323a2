//! Options of the log on Kafka.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use kbnt_adapters::address;
use kbnt_kafka as kafka;

use super::values;

/// Where the log is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct KafkaOptions {
    /// The cluster: `host:port[,host:port]`
    #[arg(long, env = "KBNT_BOOTSTRAP_SERVERS", value_name = "SERVERS", value_parser = address::servers)]
    pub(crate) bootstrap_servers: String,
    /// Put before the names of topics and consumer groups
    #[arg(long, env = "KBNT_TOPIC_PREFIX", default_value = "", value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
    /// Who this process is, such as the name of its pod
    #[arg(long, env = "KBNT_INSTANCE", default_value = "kbnt", value_name = "NAME")]
    pub(crate) instance: String,
    /// The name of this process in its consumer group, for static membership: only a name that comes back after a crash, and that
    /// no other process of the service has
    #[arg(long = "kafka-static-member", env = "KBNT_KAFKA_STATIC_MEMBER", value_name = "NAME",
          value_parser = NonEmptyStringValueParser::new())]
    pub(crate) static_member: Option<String>,
    #[command(flatten)]
    pub(crate) access: AccessOptions,
}

/// How to be let in. Files with credentials are read again when they change.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Kafka")]
pub(crate) struct AccessOptions {
    /// How brokers are talked to
    #[arg(long = "kafka-security-protocol", env = "KBNT_KAFKA_SECURITY_PROTOCOL", value_enum, ignore_case = true,
          default_value_t = SecurityProtocol::Plaintext)]
    pub(crate) security_protocol: SecurityProtocol,
    /// The CAs that brokers' certificates must come from: a PEM file, or a directory with *.crt; without it those of the
    /// system
    #[arg(long = "kafka-ca-file", env = "KBNT_KAFKA_CA_FILE", value_name = "PATH")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The client's certificate (PEM), for mutual TLS
    #[arg(
        long = "kafka-cert-file",
        env = "KBNT_KAFKA_CERT_FILE",
        value_name = "FILE",
        requires = "key_file"
    )]
    pub(crate) cert_file: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long = "kafka-key-file", env = "KBNT_KAFKA_KEY_FILE", value_name = "FILE", requires = "cert_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// How the password is proven
    #[arg(long = "kafka-sasl-mechanism", env = "KBNT_KAFKA_SASL_MECHANISM", value_enum, ignore_case = true,
          default_value_t = SaslMechanism::ScramSha512)]
    pub(crate) sasl_mechanism: SaslMechanism,
    /// Who we are, for SASL
    #[arg(
        long = "kafka-username",
        env = "KBNT_KAFKA_USERNAME",
        value_name = "NAME",
        requires = "password_file"
    )]
    pub(crate) username: Option<String>,
    /// A file with the password
    #[arg(
        long = "kafka-password-file",
        env = "KBNT_KAFKA_PASSWORD_FILE",
        value_name = "FILE",
        requires = "username"
    )]
    pub(crate) password_file: Option<PathBuf>,
    /// How long a client may hear nothing from a cluster that answers others before a new one takes its place
    #[arg(long = "kafka-renew-after", env = "KBNT_KAFKA_RENEW_AFTER", default_value = "30s", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) renew_after: Duration,
    /// Further properties of librdkafka: a file with key=value lines
    #[arg(long = "kafka-properties-file", env = "KBNT_KAFKA_PROPERTIES_FILE", value_name = "FILE")]
    pub(crate) properties_file: Option<PathBuf>,
}

/// How brokers are talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecurityProtocol {
    /// Neither encrypted nor authenticated
    Plaintext,
    /// TLS
    Ssl,
    /// SASL without TLS
    #[value(name = "sasl_plaintext")]
    SaslPlaintext,
    /// SASL over TLS
    #[value(name = "sasl_ssl")]
    SaslSsl,
}

impl From<SecurityProtocol> for kafka::Protocol {
    fn from(protocol: SecurityProtocol) -> Self {
        match protocol {
            SecurityProtocol::Plaintext => Self::Plaintext,
            SecurityProtocol::Ssl => Self::Ssl,
            SecurityProtocol::SaslPlaintext => Self::SaslPlaintext,
            SecurityProtocol::SaslSsl => Self::SaslSsl,
        }
    }
}

/// How the password is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SaslMechanism {
    /// SCRAM with SHA-512
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
    /// SCRAM with SHA-256
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// The password itself is sent
    #[value(name = "PLAIN")]
    Plain,
}

impl From<SaslMechanism> for kafka::Mechanism {
    fn from(mechanism: SaslMechanism) -> Self {
        match mechanism {
            SaslMechanism::ScramSha512 => Self::ScramSha512,
            SaslMechanism::ScramSha256 => Self::ScramSha256,
            SaslMechanism::Plain => Self::Plain,
        }
    }
}
