//! The present time, as far as a machine was told it.

use kbnt_domain::{Span, Timestamp};

/// A clock that goes back by more has been put right; by less it only differs from another reading.
const SETTING: Span = Span::from_minutes(1);

/// The newest time that a machine was told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Present(Option<Timestamp>);

impl Present {
    /// It is `now`; whether the clock has been put back since.
    pub fn set(&mut self, now: Timestamp) -> bool {
        let before = self.0.replace(now);
        before.is_some_and(|before| before.since(now) > SETTING)
    }

    /// When a record that says `at` was written: never after the present, by whatever clock.
    pub fn cap(&self, at: Timestamp) -> Timestamp {
        self.0.map_or(at, |now| at.min(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    #[test]
    fn nothing_was_written_in_the_future() {
        let mut present = Present::default();
        assert_eq!(present.cap(at(90_000)), at(90_000), "nobody has said what time it is");
        assert!(!present.set(at(100)));
        assert_eq!((present.cap(at(90)), present.cap(at(90_000))), (at(90), at(100)));
        assert!(!present.set(at(41)), "another reading");
        assert!(!present.set(at(90_000)));
        assert!(present.set(at(42)), "put back");
    }
}
