//! How instants and bytes are written for people and programs.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use kbnt_domain::Timestamp;
use thiserror::Error;

/// An instant as RFC 3339 in UTC with milliseconds; of one outside the years 0000 to 9999, for which there is no form, the nearest
/// one that has.
pub fn rfc3339(at: Timestamp) -> String {
    DateTime::from_timestamp_millis(at.with_form().as_millis())
        .unwrap_or(DateTime::UNIX_EPOCH)
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Why a text is no instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidInstant {
    /// It is not written as one.
    #[error("is no RFC 3339 instant")]
    Format,
    /// There is no form to write it in.
    #[error("is in no year from 0000 to 9999 in UTC")]
    Year,
}

/// The instant of RFC 3339 text, with any offset.
pub fn instant(text: &str) -> Result<Timestamp, InvalidInstant> {
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidInstant::Format)?;
    let at = Timestamp::from_millis(at.timestamp_millis());
    if at.has_form() { Ok(at) } else { Err(InvalidInstant::Year) }
}

/// Bytes in base64.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const_hex::encode(bytes)
}

/// `text` on one line, in characters that show nothing but themselves. Others are escaped as Rust writes them: those that
/// control a terminal or break the line, those that turn the direction of what follows, and those that cannot be seen.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

/// JSON text in which the same characters are escaped as JSON has it; it says the same.
pub fn plain_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) || c == '\n' {
            shown.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        }
    }
    shown
}

/// Whether a character shows itself and does nothing else. Joiners are needed to write some languages.
pub fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_play_with_a_terminal_is_escaped_and_all_else_is_shown() {
        for (text, shown) in [
            ("São Paulo, 東京, नमस्ते, 👩\u{200d}🚀, \\", "São Paulo, 東京, नमस्ते, 👩\u{200d}🚀, \\"),
            ("\u{1b}[2J\u{1b}]0;x\u{7}", "\\u{1b}[2J\\u{1b}]0;x\\u{7}"),
            ("a\r\n\tb\u{7f}", "a\\r\\n\\tb\\u{7f}"),
            ("\u{9b}31m\u{85}", "\\u{9b}31m\\u{85}"),
            ("\u{202e}gpj\u{2066}\u{2028}\u{feff}", "\\u{202e}gpj\\u{2066}\\u{2028}\\u{feff}"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(plain(text), shown);
        }
    }

    #[test]
    fn json_says_the_same_in_plain_characters() {
        let value = serde_json::json!({"\u{9b}a": "\u{202e}b\u{1b}\u{e0041}é\n\"\\"});
        let text = plain_json(&value.to_string());
        assert!(text.chars().all(is_plain), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
