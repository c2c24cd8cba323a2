//! What is to be expected of another try, and when it is made.

use std::time::Duration;

/// What is to be expected of another try.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Class {
    /// It may work in a moment: tried again soon, at growing intervals.
    Transient,
    /// Somebody else has to do something first. A watch tells when that can be watched.
    Waiting,
    /// It cannot work before the resource or the operator's rights change.
    Permanent,
}

impl Class {
    /// As a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Waiting => "waiting",
            Self::Permanent => "permanent",
        }
    }

    /// How long to wait after this many failures in a row, the first one counting as 0.
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
