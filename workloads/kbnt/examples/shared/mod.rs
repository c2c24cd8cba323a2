//! Shared parts of the examples that order over HTTP.

use std::fmt;
use std::time::Duration;

use reqwest::Url;

/// Any error.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Refuses a service that is not on this machine.
pub(crate) fn must_be_here(url: &Url) -> Result<(), Failure> {
    if matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
        Ok(())
    } else {
        Err("only this machine is put under load".into())
    }
}

/// The durations of many orders, sorted.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time in milliseconds within which this share of them ended. There must be at least one.
    pub(crate) fn within(&self, share: f64) -> f64 {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let index = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len()) - 1;
        self.0[index].as_secs_f64() * 1000.0
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|share| self.within(share));
        write!(f, "p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, max {max:.1}")
    }
}
