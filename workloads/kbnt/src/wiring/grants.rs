//! Limits for HTTP clients.

use std::time::Duration;

use kbnt_http::{Limits, ORDERS_IN_HAND, REQUESTS, Share};

use crate::cli::HttpOptions;

/// Limits for HTTP clients.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grants {
    pub(super) limits: Limits,
    /// Concurrent event streams.
    pub(super) streams: Share,
    /// Concurrent requests.
    pub(super) requests: Share,
    /// Concurrent orders that have not ended.
    pub(super) orders: u64,
    /// An additional port for probes.
    pub(super) probe_port: Option<u16>,
}

/// The limits of probes on their own port.
pub(super) const PROBES: Limits = Limits {
    connections: 16,
    headers: Duration::from_secs(5),
    idle: Duration::from_secs(30),
    write: Duration::from_secs(10),
    drain: Duration::from_secs(1),
};

/// Connections that neither requests nor event streams may hold, if there are so many.
const NEWCOMERS_MOST: usize = 64;

impl Grants {
    /// The limits of a process that only calls itself.
    pub(crate) fn to_itself() -> Self {
        let limits = Limits::default();
        Self {
            limits,
            streams: Share { all: 1, each: 1 },
            requests: REQUESTS,
            orders: ORDERS_IN_HAND,
            probe_port: None,
        }
    }

    /// The limits that the options set, with `streams` as the default for event streams. Connections take no
    /// more descriptors than exist, event streams at most half of the connections, and requests at most the
    /// rest less an eighth.
    pub(crate) fn of(options: &HttpOptions, streams: usize) -> Self {
        let limits =
            Limits { connections: options.connections, write: options.write_timeout, ..Limits::default() };
        let limits = limits.within_descriptors(options.probe_port.map_or(0, |_| PROBES.connections));
        if limits.connections < options.connections {
            tracing::warn!(
                operation = "few-descriptors",
                connections = limits.connections,
                wanted = options.connections,
                "fewer connections are served than the settings say: the process may not open as many files"
            );
        }
        let all = options.streams.unwrap_or(streams).min(limits.connections.div_ceil(2));
        let each = options.streams_each.unwrap_or(Share::of(all).each).min(all);
        // A new client, such as a probe, finds a connection whatever other clients hold.
        let newcomers = (limits.connections / 8).min(NEWCOMERS_MOST);
        let requests = limits.connections.saturating_sub(all + newcomers).min(options.requests).max(1);
        let requests = Share { all: requests, each: requests.div_ceil(2) };
        Self {
            limits,
            streams: Share { all, each },
            requests,
            orders: options.orders,
            probe_port: options.probe_port,
        }
    }
}
