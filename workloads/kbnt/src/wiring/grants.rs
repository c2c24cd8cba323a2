//! What is granted to those who ask over HTTP.

use std::time::Duration;

use kbnt_http::{Limits, ORDERS_IN_HAND, REQUESTS, Share};

use crate::cli::HttpOptions;

/// What is granted to those who ask over HTTP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grants {
    pub(super) limits: Limits,
    /// Event streams at a time.
    pub(super) streams: Share,
    /// Requests at a time.
    pub(super) requests: Share,
    /// Orders at a time that have not ended.
    pub(super) orders: u64,
    /// Where probes are answered besides.
    pub(super) probe_port: Option<u16>,
}

/// What is granted to probes, on a port of their own.
pub(super) const PROBES: Limits = Limits {
    connections: 16,
    headers: Duration::from_secs(5),
    idle: Duration::from_secs(30),
    write: Duration::from_secs(10),
    drain: Duration::from_secs(1),
};

/// Connections that neither requests nor event streams hold, if there are so many.
const NEWCOMERS_MOST: usize = 64;

impl Grants {
    /// What a process grants itself: nobody else asks it.
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

    /// What the options say; so many event streams unless they say otherwise. Connections take no more descriptors than there
    /// are, event streams no more than half of the connections, and requests no more than are left less an eighth.
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
        // Whoever has just come, such as a probe, finds a place, whatever others have asked for.
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
