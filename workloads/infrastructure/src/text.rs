//! How instants are written for people and programs.

use chrono::{DateTime, SecondsFormat};
use kbnt_domain::Timestamp;

/// An instant as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(at: Timestamp) -> String {
    DateTime::from_timestamp_millis(at.as_millis())
        .unwrap_or(DateTime::UNIX_EPOCH)
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
