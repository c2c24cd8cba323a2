//! Options of tracing.

use clap::Args;
use kbnt_adapters::address;
use reqwest::Url;

/// Where spans go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tracing")]
pub(crate) struct TracingOptions {
    /// Base URL of an OpenTelemetry collector that takes OTLP by HTTP, such as `http://collector:4318`
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = address::base)]
    pub(crate) otlp_endpoint: Option<Url>,
}
