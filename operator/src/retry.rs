//! What to expect of another try, and when to make it.

use std::time::Duration;

/// What to expect of another try.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// It may succeed in a moment: retried soon, with growing intervals.
    Transient,
    /// Somebody else has to act first. If that can be watched, a watch wakes the reconciler.
    Waiting,
    /// It cannot succeed before the resource or the operator's rights change.
    Permanent,
}

impl Class {
    /// The value of the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Waiting => "waiting",
            Self::Permanent => "permanent",
        }
    }

    /// How long to wait after this many failures in a row, counted from 0.
    pub fn delay(self, failures: u32) -> Duration {
        match self {
            Self::Transient => {
                Duration::from_secs(1u64.checked_shl(failures).map_or(60, |delay| delay.min(60)))
            }
            Self::Waiting => Duration::from_secs(15),
            Self::Permanent => Duration::from_mins(5),
        }
    }
}
