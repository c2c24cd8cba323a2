//! Options of the HTTP server.

use std::time::Duration;

use clap::Args;
use kbnt_http::ORDERS_IN_HAND;

use super::values;

/// What is granted to those who ask over HTTP. What is asked beyond is refused at once: 503 with Retry-After.
#[derive(Debug, Args)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpOptions {
    /// Answer /healthz, /readyz and /metrics on this port, too: whoever cannot reach it cannot use it up
    #[arg(long, env = "KBNT_PROBE_PORT", value_name = "PORT")]
    pub(crate) probe_port: Option<u16>,
    /// Connections at a time; an idle one makes place for a new one
    #[arg(long = "http-connections", env = "KBNT_HTTP_CONNECTIONS", default_value_t = 4096, value_name = "COUNT",
          value_parser = values::count)]
    pub(crate) connections: usize,
    /// Requests at a time, and no more than there are connections for; one client has at most half of them
    #[arg(long = "http-requests", env = "KBNT_HTTP_REQUESTS", default_value_t = 4096, value_name = "COUNT",
          value_parser = values::count)]
    pub(crate) requests: usize,
    /// How long a client may take nothing of an answer before it is cut off
    #[arg(long = "http-write-timeout", env = "KBNT_HTTP_WRITE_TIMEOUT", default_value = "30s", value_name = "TIME",
          value_parser = values::some_time)]
    pub(crate) write_timeout: Duration,
    /// Event streams at a time [default: 1024 in kbnt serve, 64 on Kafka]
    #[arg(long = "event-streams", env = "KBNT_EVENT_STREAMS", value_name = "COUNT", value_parser = values::count)]
    pub(crate) streams: Option<usize>,
    /// Event streams of one client at a time [default: a quarter of all]
    #[arg(long = "event-streams-per-client", env = "KBNT_EVENT_STREAMS_PER_CLIENT", value_name = "COUNT",
          value_parser = values::count)]
    pub(crate) streams_each: Option<usize>,
    /// Orders at a time that have not ended; one user has at most a quarter of what is free
    #[arg(long = "orders-in-hand", env = "KBNT_ORDERS_IN_HAND", default_value_t = ORDERS_IN_HAND, value_name = "COUNT",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) orders: u64,
}
