//! What is known of a log's topics: where each partition begins and ends, and which topic of a name it is.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

/// What a log keeps of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The offset of the first record that is kept; where none is kept, the same as `end`.
    pub first: u64,
    /// The offset after the last record.
    pub end: u64,
}

/// Which topic it is: one that was deleted and made again under its name has another id. Its text is base64url without
/// padding, as Kafka prints it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId([u8; 16]);

/// The text is no topic id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no topic id: 22 characters of base64url, as Kafka prints it, are one")]
pub struct InvalidTopicId(String);

impl TopicId {
    /// The id of these bytes, the most significant one first.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, the most significant one first.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TopicId {
    type Err = InvalidTopicId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| InvalidTopicId(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let text = "WOl_vM4-QU2HyDFeU4Yg0w";
        let id: TopicId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(TopicId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn other_text_is_no_id() {
        for text in ["", "WOl_vM4-QU2HyDFeU4Yg0", "WOl_vM4-QU2HyDFeU4Yg0w==", "WOl/vM4+QU2HyDFeU4Yg0w", "a b"]
        {
            assert!(text.parse::<TopicId>().unwrap_err().to_string().contains("no topic id"), "{text}");
        }
    }
}
