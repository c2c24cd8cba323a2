//! Limits the rate of status writes.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At most one write per object in this time.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// Whether a status may be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It equals the last one that was written.
    Unchanged,
    /// It differs, but the last write was a moment ago: come back after this time.
    Later(Duration),
    /// Write it now.
    Write,
}

/// Remembers the last write of each object.
#[derive(Debug, Default)]
pub struct StatusThrottle {
    written: Mutex<HashMap<String, (Instant, u64)>>,
}

impl StatusThrottle {
    /// Decides about `status`, without its times, of the object with this UID, when the watch shows `live`. A
    /// write from a moment ago takes precedence over the watch, which may lag behind.
    pub fn ask(&self, uid: &str, status: &str, live: &str, now: Instant) -> Verdict {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = written.get(uid).filter(|(at, _)| now.saturating_duration_since(*at) < INTERVAL);
        match recent {
            Some((_, digest)) if *digest == digest_of(status) => Verdict::Unchanged,
            Some((at, _)) => Verdict::Later(INTERVAL.saturating_sub(now.saturating_duration_since(*at))),
            None if status == live => Verdict::Unchanged,
            None => Verdict::Write,
        }
    }

    /// Records that `status` was written.
    pub fn wrote(&self, uid: &str, status: &str, now: Instant) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries older than the interval no longer matter, so the map holds only recent writes.
        written.retain(|_, (at, _)| now.saturating_duration_since(*at) < INTERVAL);
        written.insert(uid.to_owned(), (now, digest_of(status)));
    }
}

fn digest_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_at_most_once_in_the_interval_and_never_the_same_again() {
        let (throttle, start) = (StatusThrottle::default(), Instant::now());
        assert_eq!(throttle.ask("a", "one", "", start), Verdict::Write);
        throttle.wrote("a", "one", start);
        let soon = start + Duration::from_millis(500);
        // The watch still shows what was there before.
        assert_eq!(throttle.ask("a", "one", "", soon), Verdict::Unchanged);
        assert_eq!(throttle.ask("a", "two", "", soon), Verdict::Later(Duration::from_millis(1500)));
        assert_eq!(throttle.ask("b", "two", "", soon), Verdict::Write);
        let later = start + INTERVAL;
        assert_eq!(throttle.ask("a", "one", "one", later), Verdict::Unchanged);
        assert_eq!(throttle.ask("a", "two", "one", later), Verdict::Write);
        // Somebody else changed it.
        assert_eq!(throttle.ask("a", "one", "other", later), Verdict::Write);
    }
}
