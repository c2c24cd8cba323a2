//! The signs of life that a client gets from the cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kbnt_application::ports::LogError;

/// How long a client that works may hear nothing before it asks whether a broker is there.
const QUIET: Duration = Duration::from_secs(5);

/// The same for one that has lost its brokers.
const ANXIOUS: Duration = Duration::from_secs(1);

/// Whether one client hears from the cluster, and whether another one is to take its place.
#[derive(Debug)]
pub(crate) struct Life {
    name: &'static str,
    began: Instant,
    /// When it last heard something, in milliseconds since `began`.
    heard: AtomicU64,
    /// When it last asked, likewise.
    asked: AtomicU64,
    /// No broker can be reached.
    down: AtomicBool,
    /// Its owner is to replace it.
    condemned: AtomicBool,
    /// Clients of the process that were replaced.
    renewed: Arc<AtomicU64>,
}

impl Life {
    pub(crate) fn new(name: &'static str, renewed: &Arc<AtomicU64>) -> Self {
        Self {
            name,
            began: Instant::now(),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            down: AtomicBool::new(false),
            condemned: AtomicBool::new(false),
            renewed: Arc::clone(renewed),
        }
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, moment: &AtomicU64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(moment.load(Ordering::Relaxed)))
    }

    /// A broker said something.
    pub(crate) fn heard(&self) {
        self.heard.store(self.now(), Ordering::Relaxed);
        self.down.store(false, Ordering::Relaxed);
    }

    /// No broker can be reached.
    pub(crate) fn lost(&self) {
        self.down.store(true, Ordering::Relaxed);
    }

    /// What came of asking whether a broker is there. A broker that is slow to answer once is not lost yet.
    pub(crate) fn note_answer(&self, answered: bool) {
        if answered {
            self.heard();
        } else if self.silence() >= QUIET * 2 {
            self.lost();
        }
    }

    /// How long it has heard nothing.
    pub(crate) fn silence(&self) -> Duration {
        self.since(&self.heard)
    }

    /// Whether it should ask now whether a broker is there; says so once in a while.
    pub(crate) fn should_ask(&self) -> bool {
        let pause = if self.is_down() { ANXIOUS } else { QUIET };
        let due = self.silence() >= pause && self.since(&self.asked) >= pause;
        if due {
            self.asked.store(self.now(), Ordering::Relaxed);
        }
        due
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    /// Whether a broker answered when it was last asked.
    pub(crate) fn is_well(&self) -> bool {
        !self.is_down() && self.silence() < QUIET * 2
    }

    /// What to tell a reader that found nothing.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.is_down() {
            return Err(LogError::Unavailable("no broker can be reached".to_owned()));
        }
        Ok(())
    }

    /// Tells the owner to replace the client.
    pub(crate) fn condemn(&self) {
        self.condemned.store(true, Ordering::Release);
    }

    pub(crate) fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::Acquire)
    }

    /// Another client has begun in its place, which has heard nothing yet.
    pub(crate) fn begin_anew(&self) {
        tracing::warn!(
            operation = "kafka-client-renewed",
            client = self.name,
            silent_seconds = self.silence().as_secs(),
            "another Kafka client takes the place of this one"
        );
        self.renewed.fetch_add(1, Ordering::Relaxed);
        self.heard.store(self.now(), Ordering::Relaxed);
        self.condemned.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_down_until_it_hears_something() {
        let life = Life::new("reader", &Arc::default());
        assert!(life.check().is_ok());
        life.lost();
        assert!(life.check().is_err());
        life.begin_anew();
        assert!(life.is_down(), "a new client has heard nothing yet");
        life.heard();
        assert!(life.check().is_ok());
    }

    #[test]
    fn a_new_client_is_not_condemned_and_counts() {
        let renewed = Arc::<AtomicU64>::default();
        let life = Life::new("reader", &renewed);
        life.condemn();
        assert!(life.is_condemned());
        life.begin_anew();
        assert!(!life.is_condemned());
        assert_eq!(renewed.load(Ordering::Relaxed), 1);
    }
}
