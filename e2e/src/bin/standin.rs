//! Runs the stand-in for Strimzi's Topic Operator; see [`kbnt_e2e::standin`].

use std::process::ExitCode;

use clap::Parser;
use kbnt_e2e::standin::{Broker, run};
use tracing::error;

/// Reconciles the `KafkaTopic` objects of one Kafka cluster where there is no Strimzi.
#[derive(Parser)]
struct Options {
    /// Where the `KafkaTopic` objects are.
    #[arg(long, env = "STRIMZI_NAMESPACE")]
    namespace: String,
    /// The value of their label `strimzi.io/cluster`.
    #[arg(long, env = "STRIMZI_CLUSTER")]
    cluster: String,
    /// The brokers.
    #[arg(long, env = "STRIMZI_KAFKA_BOOTSTRAP_SERVERS")]
    bootstrap_servers: String,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().json().init();
    let options = Options::parse();
    let client = match kube::Client::try_default().await {
        Ok(client) => client,
        Err(error) => {
            error!(%error, "no API server");
            return ExitCode::FAILURE;
        }
    };
    let broker = match Broker::new(&options.bootstrap_servers) {
        Ok(broker) => broker,
        Err(error) => {
            error!(%error, "no Kafka client");
            return ExitCode::FAILURE;
        }
    };
    run(client, &options.namespace, &options.cluster, broker).await;
    ExitCode::SUCCESS
}
