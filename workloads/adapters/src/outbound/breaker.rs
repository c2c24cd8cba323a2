//! A circuit breaker: after repeated failures it pauses the calls for a while, and then tries a single
//! request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When the circuit opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// Failures in a row after which it opens.
    pub failures: u32,
    /// How long it stays open before a probe is let through.
    pub pause: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, pause: Duration::from_secs(5) }
    }
}

#[derive(Debug)]
enum State {
    /// Requests pass; `failures` failed in a row.
    Closed { failures: u32 },
    /// Requests are refused until then.
    Open { until: Instant },
    /// One request is in progress; if it is lost, another one may go at `again`.
    Probing { again: Instant },
}

/// The circuit breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    config: BreakerConfig,
    state: Mutex<State>,
}

impl Breaker {
    pub(crate) const fn new(config: BreakerConfig) -> Self {
        Self { config, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Whether a request may go at `now`. A caller that is admitted must report the result.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state();
        match *state {
            State::Closed { .. } => true,
            State::Open { until: from } | State::Probing { again: from } => {
                let probe = now >= from;
                if probe {
                    *state = State::Probing { again: now + self.config.pause };
                }
                probe
            }
        }
    }

    /// Reports how an admitted request ended.
    pub(crate) fn report(&self, healthy: bool, now: Instant) {
        let mut state = self.state();
        *state = match *state {
            _ if healthy => State::Closed { failures: 0 },
            State::Closed { failures } if failures + 1 < self.config.failures => {
                State::Closed { failures: failures + 1 }
            }
            // A late failure from before must not extend the pause.
            State::Open { until } => State::Open { until },
            State::Closed { .. } | State::Probing { .. } => State::Open { until: now + self.config.pause },
        };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_probes_and_closes() {
        let breaker = Breaker::new(BreakerConfig { failures: 2, pause: Duration::from_secs(5) });
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        breaker.report(false, at(0));
        assert!(breaker.admits(at(0)), "one failure is not enough");
        breaker.report(false, at(0));
        assert!(!breaker.admits(at(4)), "open");
        assert!(breaker.admits(at(5)), "the probe");
        assert!(!breaker.admits(at(6)), "only one probe");
        breaker.report(false, at(6));
        assert!(!breaker.admits(at(10)), "the probe failed, open again");
        assert!(breaker.admits(at(11)));
        breaker.report(true, at(11));
        assert!(breaker.admits(at(11)) && breaker.admits(at(11)), "closed");
    }

    #[test]
    fn a_lost_probe_is_followed_by_another() {
        let breaker = Breaker::new(BreakerConfig { failures: 1, pause: Duration::from_secs(5) });
        let start = Instant::now();
        breaker.report(false, start);
        assert!(breaker.admits(start + Duration::from_secs(5)));
        assert!(!breaker.admits(start + Duration::from_secs(9)));
        assert!(breaker.admits(start + Duration::from_secs(10)));
    }
}
