//! The command line.

use std::any::TypeId;
use std::net::SocketAddr;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Reconciles VirtualStocks and OrderWorkflows.
#[derive(Clone, Debug, Parser)]
#[command(name = "kbnt-operator", version)]
pub struct Options {
    /// Image of the services that the operator runs.
    #[arg(long, env = "KBNT_SERVICES_IMAGE")]
    pub services_image: String,
    /// Namespaces to look after, with commas between. All of them without it.
    #[arg(long, env = "KBNT_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Namespaces of Kafka clusters, besides those to look after. Any without --watch-namespaces.
    #[arg(long, env = "KBNT_KAFKA_NAMESPACES", value_delimiter = ',')]
    pub kafka_namespaces: Vec<String>,
    /// Whether VirtualStocks may ask for a KafkaUser for each service.
    #[arg(long, env = "KBNT_KAFKA_USERS", default_value_t = false, action = clap::ArgAction::Set)]
    pub kafka_users: bool,
    /// Namespaces of Kafka clusters from which Secrets of users may be copied, with commas between.
    #[arg(long, env = "KBNT_USER_SECRETS_FROM", value_delimiter = ',')]
    pub user_secrets_from: Vec<String>,
    /// Namespaces of resources to which Secrets of users may be copied, with commas between.
    #[arg(long, env = "KBNT_USER_SECRETS_TO", value_delimiter = ',')]
    pub user_secrets_to: Vec<String>,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, env = "KBNT_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Log filter: a level (off, error, warn, info, debug, trace), or levels by part of the program such as
    /// `warn,kbnt_operator=debug`.
    #[arg(long, env = "KBNT_LOG", default_value = "info", value_parser = log_filter)]
    pub log: String,
    /// Whether to work only while holding a lease, so that several replicas can run.
    #[arg(long, env = "KBNT_LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_election: bool,
    /// Namespace of the lease.
    #[arg(long, env = "KBNT_NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Who this process is: the pod's name.
    #[arg(long, env = "KBNT_INSTANCE", default_value = "kbnt-operator")]
    pub instance: String,
    /// Where the services answer, with {service} and {namespace} in it. For an operator outside of the cluster.
    #[arg(long, env = "KBNT_SERVICE_URL", default_value = "http://{service}.{namespace}.svc:8080")]
    pub service_url: String,
    /// Where a pod answers that is not ready, with {ip} in it, and perhaps {namespace} and {pod}. For an operator outside of
    /// the cluster.
    #[arg(long, env = "KBNT_POD_URL", default_value = "http://{ip}:8080")]
    pub pod_url: String,
}

impl Options {
    /// Reads the command line and the variables: an empty one is as good as none, and what is true or false may also be
    /// written `1`, `yes`, `on`, `0`, `no` and `off`.
    ///
    /// # Errors
    /// Something is wrong with them, or help is wanted.
    pub fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command().mut_args(lenient);
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

fn lenient(argument: Arg) -> Arg {
    let value = argument.get_env().and_then(std::env::var_os);
    let argument =
        if value.is_some_and(|value| value.is_empty()) { argument.env(Resettable::Reset) } else { argument };
    if argument.get_value_parser().type_id() == TypeId::of::<bool>() {
        argument.value_parser(BoolishValueParser::new())
    } else {
        argument
    }
}

/// A filter that lets through what its writer means. A name alone would be taken for a target and let through nothing
/// else, so a level that is misspelt would be silence.
fn log_filter(text: &str) -> Result<String, String> {
    let directive = |text: &str| {
        let (target, level) = text.split_once('=').map_or(("", text), |(target, level)| (target, level));
        let level = if level.eq_ignore_ascii_case("warning") { "warn" } else { level };
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(format!(
                "{level:?} is no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL"
            ));
        }
        Ok(if target.is_empty() { level.to_owned() } else { format!("{target}={level}") })
    };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let filter = parts.map(directive).collect::<Result<Vec<_>, _>>()?.join(",");
    if filter.is_empty() {
        return Err("it is empty: write a level such as info".to_owned());
    }
    EnvFilter::try_new(&filter).map(|_| filter).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_would_silence_everything_is_refused() {
        for text in ["loud", "debgu", "kbnt_operator", "info,kbnt_operator=loud", "", ","] {
            assert!(log_filter(text).is_err(), "{text}");
        }
        for (text, means) in [
            ("warning", "warn"),
            ("info", "info"),
            ("Warn, kbnt_operator=debug", "Warn,kbnt_operator=debug"),
            ("kube=WARNING", "kube=warn"),
        ] {
            assert_eq!(log_filter(text).as_deref(), Ok(means));
        }
    }

    #[test]
    fn what_is_true_or_false_is_written_as_people_do() {
        let users = |value: &str| {
            let arguments = ["kbnt-operator", "--services-image", "x", "--kafka-users", value];
            let matches = Options::command().mut_args(lenient).try_get_matches_from(arguments)?;
            Options::from_arg_matches(&matches).map(|options| options.kafka_users)
        };
        for (value, means) in
            [("1", true), ("yes", true), ("on", true), ("true", true), ("0", false), ("No", false)]
        {
            assert_eq!(users(value).unwrap(), means, "{value}");
        }
        assert!(users("maybe").is_err());
    }
}
