//! Waits for a condition, with a deadline.

use std::fmt;
use std::time::{Duration, Instant};

/// Why a step of a suite failed, for people.
#[derive(Clone, Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// The pause between checks.
const PAUSE: Duration = Duration::from_millis(250);

/// Calls `look` until it succeeds; the failure contains its last error.
pub fn until<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(last) if start.elapsed() >= within => {
                return Err(Failure(format!("{what}: not within {within:?}; last: {last}")));
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
