//! The health of a client's connection to the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kbnt_application::ports::LogError;

/// A healthy client probes the cluster after this much silence.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// The same for a client that reaches no broker.
const PROBE_AFTER_UNREACHABLE: Duration = Duration::from_secs(1);

/// Records whether one client hears from the cluster, and whether it is due for renewal.
#[derive(Debug)]
pub(crate) struct ConnectionHealth {
    client: &'static str,
    created: Instant,
    /// Milliseconds from `created` to the last response.
    last_response: AtomicU64,
    /// Milliseconds from `created` to the last probe.
    last_probe: AtomicU64,
    unreachable: AtomicBool,
    renewal_due: AtomicBool,
    /// Counts the renewals of all clients of the process.
    renewals: Arc<AtomicU64>,
}

impl ConnectionHealth {
    /// The health of the client with this name in the log.
    pub(crate) fn new(client: &'static str, renewals: &Arc<AtomicU64>) -> Self {
        Self {
            client,
            created: Instant::now(),
            last_response: AtomicU64::new(0),
            last_probe: AtomicU64::new(0),
            unreachable: AtomicBool::new(false),
            renewal_due: AtomicBool::new(false),
            renewals: Arc::clone(renewals),
        }
    }

    /// The client's name in the log.
    pub(crate) const fn client(&self) -> &'static str {
        self.client
    }

    fn now(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(moment.load(Ordering::Relaxed)))
    }

    /// Records that a broker responded.
    pub(crate) fn record_response(&self) {
        self.last_response.store(self.now(), Ordering::Relaxed);
        self.unreachable.store(false, Ordering::Relaxed);
    }

    /// Records that the client reaches no broker.
    pub(crate) fn record_unreachable(&self) {
        self.unreachable.store(true, Ordering::Relaxed);
    }

    /// Records the result of a probe. One slow response does not make the cluster unreachable.
    pub(crate) fn record_probe(&self, answered: bool) {
        if answered {
            self.record_response();
        } else if self.silence() >= PROBE_AFTER * 2 {
            self.record_unreachable();
        }
    }

    /// The time since the last response.
    pub(crate) fn silence(&self) -> Duration {
        self.since(&self.last_response)
    }

    /// Whether a probe is due. Returns true at most once per probe interval.
    pub(crate) fn take_probe(&self) -> bool {
        let interval = if self.is_unreachable() { PROBE_AFTER_UNREACHABLE } else { PROBE_AFTER };
        let due = self.silence() >= interval && self.since(&self.last_probe) >= interval;
        if due {
            self.last_probe.store(self.now(), Ordering::Relaxed);
        }
        due
    }

    pub(crate) fn is_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Relaxed)
    }

    /// Whether a broker responded recently.
    pub(crate) fn is_healthy(&self) -> bool {
        !self.is_unreachable() && self.silence() < PROBE_AFTER * 2
    }

    /// The error for a caller whose wait returned nothing, if the cluster is unreachable.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.is_unreachable() {
            return Err(LogError::Unavailable("no broker can be reached".to_owned()));
        }
        Ok(())
    }

    /// Asks the client's owner to replace the client.
    pub(crate) fn request_renewal(&self) {
        self.renewal_due.store(true, Ordering::Release);
    }

    pub(crate) fn is_renewal_due(&self) -> bool {
        self.renewal_due.load(Ordering::Acquire)
    }

    /// Records that a new client replaced this one. The cluster stays unreachable until the new client hears from it.
    pub(crate) fn record_renewal(&self) {
        tracing::warn!(
            operation = "kafka-client-renewed",
            client = self.client,
            silent_seconds = self.silence().as_secs(),
            "a new Kafka client replaces this one"
        );
        self.renewals.fetch_add(1, Ordering::Relaxed);
        self.last_response.store(self.now(), Ordering::Relaxed);
        self.renewal_due.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_unreachable_until_a_broker_responds() {
        let health = ConnectionHealth::new("reader", &Arc::default());
        assert!(health.check().is_ok());
        health.record_unreachable();
        assert!(health.check().is_err());
        health.record_renewal();
        assert!(health.is_unreachable(), "the new client has no response yet");
        health.record_response();
        assert!(health.check().is_ok());
    }

    #[test]
    fn a_new_client_is_not_due_for_renewal_and_counts() {
        let renewals = Arc::<AtomicU64>::default();
        let health = ConnectionHealth::new("reader", &renewals);
        health.request_renewal();
        assert!(health.is_renewal_due());
        health.record_renewal();
        assert!(!health.is_renewal_due());
        assert_eq!(renewals.load(Ordering::Relaxed), 1);
    }
}
