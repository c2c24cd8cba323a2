//! Clocks.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kbnt_application::clock::Watch;
use kbnt_application::ports::Clock;
use kbnt_domain::{Span, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The system's clock, watched. It may be corrected by little; if it is set by more than the limit, the time
/// continues as if it had not been, until it is corrected. See [`Clock::off_by`].
pub struct WatchedClock {
    wall: Arc<dyn Clock>,
    watch: Mutex<Watch>,
}

impl std::fmt::Debug for WatchedClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchedClock").field("watch", &self.watch).finish_non_exhaustive()
    }
}

impl WatchedClock {
    /// A clock that may be set by `limit` at most. Its first reading is trusted.
    pub fn new(limit: Duration) -> Self {
        Self::watching(Arc::new(SystemClock), limit)
    }

    /// The same with `wall` in place of the system's clock.
    pub fn watching(wall: Arc<dyn Clock>, limit: Duration) -> Self {
        let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
        let watch = Watch::new(wall.now().as_millis(), steady(), limit);
        Self { wall, watch: Mutex::new(watch) }
    }

    fn read<T>(&self, read: impl FnOnce(&mut Watch, i64, i64) -> T) -> T {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        // Both within the lock, so that no reading is older than the one before.
        read(&mut watch, self.wall.now().as_millis(), steady())
    }
}

impl Clock for WatchedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.read(Watch::now))
    }

    fn off_by(&self) -> Option<i64> {
        self.read(Watch::off_by)
    }

    fn log_says(&self, newest: Timestamp) {
        self.read(|watch, _, steady| watch.log_says(newest.as_millis(), steady));
    }
}

/// Milliseconds since the machine was started, including sleep. Nobody can set this clock. It is read from
/// the kernel, not through the C library.
fn steady() -> i64 {
    let since = clock_gettime(ClockId::Boottime);
    since.tv_sec.saturating_mul(1000).saturating_add(since.tv_nsec / 1_000_000)
}

/// The system's clock plus an offset on request, to see the effect of fifteen minutes without waiting.
#[derive(Debug, Default)]
pub struct ForwardClock {
    ahead_millis: AtomicI64,
}

impl ForwardClock {
    /// Moves the clock forward, from now on, for all holders.
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
