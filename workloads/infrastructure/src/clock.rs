//! Clocks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use kbnt_application::ports::Clock;
use kbnt_domain::{Span, Timestamp};

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The system's clock, ahead by as much as somebody asked for: to see what fifteen minutes bring without waiting.
#[derive(Debug, Default)]
pub struct ForwardClock {
    ahead_millis: AtomicI64,
}

impl ForwardClock {
    /// Moves the clock forward, from now on and for everybody who has it.
    pub fn forward(&self, span: Span) {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.ahead_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ForwardClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead_millis.load(Ordering::SeqCst);
        Timestamp::from_millis(SystemClock.now().as_millis().saturating_add(ahead))
    }
}
