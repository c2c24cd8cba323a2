//! How instants and bytes are written for people and programs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use kbnt_domain::Timestamp;

/// An instant as RFC 3339 in UTC with milliseconds; of one outside the years 0000 to 9999, for which there is no form, the nearest
/// one that has.
pub fn rfc3339(at: Timestamp) -> String {
    DateTime::from_timestamp_millis(at.with_form().as_millis())
        .unwrap_or(DateTime::UNIX_EPOCH)
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Bytes in base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const_hex::encode(bytes)
}
