//! The command line.

use std::net::SocketAddr;

use clap::Parser;

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
    /// Log filter, such as `info` or `kbnt_operator=debug`.
    #[arg(long, env = "KBNT_LOG", default_value = "info")]
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
