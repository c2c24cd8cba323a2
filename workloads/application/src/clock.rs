//! Tells a clock that was set from one that runs, by a second one that nobody can set. All in milliseconds.

/// A clock that is corrected bit by bit is followed, by one part in so many of the time that passes.
const FOLLOWED: i64 = 1000;

/// A log to which somebody wrote so long ago still says what time it is.
const LATELY: i64 = 60 * 60_000;

/// What is known of the clock.
#[derive(Debug)]
pub struct Watch {
    limit: i64,
    /// What the clock is ahead of the steady one, as it is believed.
    ahead: i64,
    /// When that was corrected last.
    followed: i64,
    /// What the log's newest record is ahead of the steady clock, at least.
    log_ahead: Option<i64>,
}

impl Watch {
    /// A clock that shows `wall` at first, which is believed, and may be set by `limit` at most.
    pub const fn new(wall: i64, steady: i64, limit: i64) -> Self {
        let ahead = wall.saturating_sub(steady);
        Self { limit, ahead, followed: steady, log_ahead: None }
    }

    /// The time.
    pub fn now(&mut self, wall: i64, steady: i64) -> i64 {
        match self.off_by(wall, steady) {
            None => wall,
            Some(_) => steady.saturating_add(self.ahead),
        }
    }

    /// By how much the clock is off, if by more than the limit.
    pub fn off_by(&mut self, wall: i64, steady: i64) -> Option<i64> {
        let shown = wall.saturating_sub(steady);
        let off = shown.saturating_sub(self.ahead);
        if off.saturating_abs() <= self.limit {
            let most = steady.saturating_sub(self.followed).max(0) / FOLLOWED;
            if most > 0 {
                self.ahead = self.ahead.saturating_add(off.clamp(-most, most));
                self.followed = steady;
            }
            return None;
        }
        if self.goes_better_with_the_log(shown) {
            // What it showed before was wrong from the first.
            (self.ahead, self.followed) = (shown, steady);
            return None;
        }
        Some(off)
    }

    /// The newest record of the log was written at `newest`.
    pub fn log_says(&mut self, newest: i64, steady: i64) {
        let ahead = newest.saturating_sub(steady);
        self.log_ahead = Some(self.log_ahead.map_or(ahead, |before| before.max(ahead)));
    }

    /// Whether the clock did not go with the log at first, and does so with what it shows now. A log that nobody has written to
    /// for longer says nothing of the time, nor does one to which somebody wrote a time out of this world.
    fn goes_better_with_the_log(&self, shown: i64) -> bool {
        let Some(log) = self.log_ahead else { return false };
        let believed = self.ahead.saturating_sub(log);
        let lately = (-self.limit)..=LATELY;
        !lately.contains(&believed) && lately.contains(&shown.saturating_sub(log))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const LIMIT: i64 = 5 * MINUTE;
    /// What the clock shows when the steady one shows 0.
    const EPOCH: i64 = 1_700_000_000_000;

    fn watch() -> Watch {
        Watch::new(EPOCH, 0, LIMIT)
    }

    #[test]
    fn a_clock_that_was_set_is_not_followed_and_one_that_is_put_right_is() {
        for jump in [25 * HOUR, -3 * HOUR, 3 * HOUR, LIMIT + 1, -LIMIT - 1] {
            let mut watch = watch();
            for round in 0..3 {
                let start = round * 10_000;
                assert_eq!(watch.off_by(EPOCH + start, start), None);
                for steady in [start + 1, start + 2_000] {
                    assert_eq!(
                        watch.now(EPOCH + steady + jump, steady),
                        EPOCH + steady,
                        "as if it had not been"
                    );
                    assert_eq!(watch.off_by(EPOCH + steady + jump, steady), Some(jump));
                }
                let back = start + 2_001;
                assert_eq!(
                    (watch.off_by(EPOCH + back, back), watch.now(EPOCH + back, back)),
                    (None, EPOCH + back)
                );
            }
        }
    }

    #[test]
    fn a_clock_that_is_corrected_is_followed() {
        let mut watch = watch();
        for (steady, drift) in [(1_000, 4 * MINUTE), (2_000, -4 * MINUTE), (3_000, LIMIT), (4_000, 0)] {
            assert_eq!(watch.now(EPOCH + steady + drift, steady), EPOCH + steady + drift);
        }
        assert_eq!(
            watch.off_by(EPOCH + 5_000 + 8 * MINUTE, 5_000),
            Some(8 * MINUTE),
            "step by step is far, too"
        );
        // A second a day, for years.
        let mut steady = 5_000;
        for day in 0..2_000 {
            steady += 24 * HOUR;
            assert_eq!(watch.off_by(EPOCH + steady + day * 1_000, steady), None, "day {day}");
        }
    }

    #[test]
    fn a_log_that_is_old_or_out_of_this_world_is_no_witness() {
        for log in [EPOCH - 60 * HOUR, EPOCH + 8_000 * 365 * 24 * HOUR, EPOCH - HOUR] {
            let mut watch = watch();
            watch.log_says(log, 10);
            for jump in [25 * HOUR, -3 * HOUR, 3 * HOUR] {
                assert_eq!(watch.off_by(EPOCH + 1_000 + jump, 1_000), Some(jump), "{log}");
                assert_eq!(watch.off_by(EPOCH + 2_000, 2_000), None, "{log}");
            }
        }
    }

    #[test]
    fn a_clock_that_was_wrong_from_the_start_is_known_by_the_log() {
        for wrong in [25 * HOUR, -3 * HOUR] {
            let mut watch = Watch::new(EPOCH + wrong, 0, LIMIT);
            watch.log_says(EPOCH - MINUTE, 10);
            assert_eq!(watch.now(EPOCH + wrong + 1_000, 1_000), EPOCH + wrong + 1_000, "a start cannot know");
            assert_eq!(
                (watch.off_by(EPOCH + 2_000, 2_000), watch.now(EPOCH + 2_000, 2_000)),
                (None, EPOCH + 2_000)
            );
            assert_eq!(watch.off_by(EPOCH + 3_000 + 2 * HOUR, 3_000), Some(2 * HOUR), "it is right now");
            assert_eq!(watch.off_by(EPOCH + 4_000, 4_000), None);
            assert_eq!(watch.off_by(EPOCH + 5_000 + wrong, 5_000), Some(wrong), "and was wrong before");
        }
    }
}
