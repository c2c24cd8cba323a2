//! What is kept of a record that nobody understands.

use std::sync::Arc;

use kbnt_domain::Timestamp;
use kbnt_domain::audit::{Hash, sha256};

use crate::machine::record_hash;
use crate::message::Location;

/// Bytes that many hold and nobody changes.
pub type Bytes = Arc<[u8]>;

/// A record that nobody understands, kept for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterStored {
    /// Where the record lies.
    pub location: Location,
    /// What is wrong with it.
    pub reason: String,
    /// The log's own time of the record.
    pub recorded_at: Timestamp,
    /// Its key, if it has one.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Whether all of that is as it was; of a record that is too large only the beginning is kept.
    pub whole: bool,
    /// Bytes of the record's own value.
    pub value_bytes: u64,
    /// The SHA-256 of the record's own value; `None` of a tombstone.
    pub value_hash: Option<Hash>,
}

/// A person is done with a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterResolved {
    /// Where the record lies that nobody understood.
    pub location: Location,
    /// What was done with it.
    pub how: Resolution,
    /// Where it was written again, if it was.
    pub replayed_to: Option<Location>,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What a person did with a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// It was written to its topic again, as it was or corrected.
    Replayed,
    /// It is to be forgotten.
    Discarded,
}

/// The most that a dead letter may take as text and still be kept whole, in bytes: some 2.2 MB of value. A record of the
/// audit trail may be a third longer.
const WHOLE_MOST: usize = 3 << 20;

/// What is kept of each part of a record that is too large, in bytes. All of it stays below what any broker takes.
const KEPT: usize = 64 << 10;

/// What is kept of the reason then, in characters.
const REASON_KEPT: usize = 500;

impl DeadLetterStored {
    /// The dead letter that a record becomes; the record's time is the log's own.
    pub fn new<'a>(
        location: Location,
        reason: String,
        recorded_at: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.map(Bytes::from)));
        Self {
            location,
            reason,
            recorded_at: recorded_at.with_form(),
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers: headers.collect(),
            whole: true,
            value_bytes: value.map_or(0, <[u8]>::len) as u64,
            value_hash: value.map(sha256),
        }
    }

    /// The SHA-256 of the record that a whole dead letter holds: what the audit trail vouches for.
    pub fn content_hash(&self) -> Hash {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        record_hash(self.recorded_at, self.key.as_deref(), self.value_hash.as_ref(), headers)
    }

    /// The same of what is kept, if all of it is; a hash that nothing has, if it contradicts itself.
    pub fn kept_hash(&self) -> Option<Hash> {
        let consistent = self.value.as_deref().map(sha256) == self.value_hash;
        self.whole.then(|| if consistent { self.content_hash() } else { Hash::default() })
    }

    /// The most that it takes as text in a record of the audit trail, in bytes.
    pub fn size(&self) -> usize {
        let header =
            |(name, value): &(String, Option<Bytes>)| 6 * name.len() + encoded(value.as_deref()) + 64;
        let headers: usize = self.headers.iter().map(header).sum();
        1_024
            + 6 * self.reason.len()
            + encoded(self.key.as_deref())
            + encoded(self.value.as_deref())
            + headers
    }

    /// As much of it as a record of the audit trail can hold.
    #[must_use]
    pub fn fitting(self) -> Self {
        if self.size() > WHOLE_MOST { self.shortened() } else { self }
    }

    /// Its beginning, small enough for any log.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let mut left = KEPT;
        let fits = |(name, value): &&(String, Option<Bytes>)| {
            let size = 64 + name.len() + value.as_deref().map_or(0, <[u8]>::len);
            left.checked_sub(size).inspect(|rest| left = *rest).is_some()
        };
        let mut kept = Self {
            location: self.location.clone(),
            reason: self.reason.chars().take(REASON_KEPT).collect(),
            recorded_at: self.recorded_at,
            key: self.key.as_deref().map(beginning),
            value: self.value.as_deref().map(beginning),
            headers: self.headers.iter().take_while(fits).cloned().collect(),
            whole: self.whole,
            value_bytes: self.value_bytes,
            value_hash: self.value_hash,
        };
        kept.whole &=
            (&kept.key, &kept.value, kept.headers.len()) == (&self.key, &self.value, self.headers.len());
        kept
    }
}

/// The length of these bytes in base64.
fn encoded(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(0, |bytes| bytes.len().div_ceil(3) * 4)
}

fn beginning(bytes: &[u8]) -> Bytes {
    Bytes::from(&bytes[..bytes.len().min(KEPT)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> DeadLetterStored {
        let location = ("order-events".to_owned(), 1, 17);
        let at = Timestamp::from_millis(1_700_000_000_000);
        DeadLetterStored::new(location, "because".into(), at, key, value, headers.iter().copied())
    }

    #[test]
    fn each_part_of_a_record_shows_in_its_hash() {
        let plain = letter(Some(b"k"), Some(b"v"), &[("a", None), ("b", Some(b"1"))]);
        let hash = plain.content_hash();
        assert_eq!(plain.kept_hash(), Some(hash));
        let mut later = plain.clone();
        later.recorded_at = Timestamp::from_millis(1_700_000_000_001);
        let others = [
            letter(None, Some(b"v"), &[("a", None), ("b", Some(b"1"))]),
            letter(Some(b""), Some(b"v"), &[("a", None), ("b", Some(b"1"))]),
            letter(Some(b"k"), None, &[("a", None), ("b", Some(b"1"))]),
            letter(Some(b"k"), Some(b""), &[("a", None), ("b", Some(b"1"))]),
            letter(Some(b"k"), Some(b"v"), &[("b", Some(b"1")), ("a", None)]),
            letter(Some(b"k"), Some(b"v"), &[("a", Some(b"")), ("b", Some(b"1"))]),
            letter(Some(b"k"), Some(b"v"), &[("ab", Some(b"1"))]),
            letter(Some(b"k"), Some(b"v"), &[]),
            later,
        ];
        for (n, other) in others.into_iter().enumerate() {
            assert!(other.kept_hash().is_some_and(|other| other != hash), "{n}");
        }
        // Pinned: the audit trail of years ago must still verify.
        assert_eq!(hash[..8], 0xa3ad_7f79_1587_6ad8_u64.to_be_bytes());
    }

    #[test]
    fn a_value_that_was_changed_is_seen() {
        let mut changed = letter(Some(b"k"), Some(b"value"), &[]);
        let hash = changed.content_hash();
        changed.value = Some(Bytes::from(b"valve".as_slice()));
        assert_ne!(changed.kept_hash(), Some(hash));
    }

    #[test]
    fn what_fits_is_kept_whole_and_the_rest_shrinks_below_what_any_broker_takes() {
        let large = vec![b'x'; 2 << 20];
        assert!(letter(None, Some(&large), &[]).fitting().whole, "twice what a broker takes by default");
        let huge = vec![b'x'; 40 << 20];
        let name = "n".repeat(3 << 20);
        let many: Vec<(&str, Option<&[u8]>)> = vec![("h", Some(b"1")); 500_000];
        for (what, letter) in [
            ("value", letter(Some(b"k"), Some(&huge), &[("a", Some(b"1"))])),
            ("key", letter(Some(&huge), None, &[])),
            ("header", letter(None, Some(b"v"), &[("a", Some(&huge))])),
            ("header's name", letter(None, Some(b"v"), &[(&name, None)])),
            ("headers", letter(None, Some(b"v"), &many)),
        ] {
            let kept = letter.clone().fitting();
            assert!(!kept.whole && kept.size() < 600_000, "{what}: {}", kept.size());
            assert_eq!(
                (kept.value_bytes, kept.value_hash),
                (letter.value_bytes, letter.value_hash),
                "{what}"
            );
            assert_eq!(kept.kept_hash(), None, "{what}");
        }
        let mut talkative = letter(None, Some(b"v"), &[]);
        talkative.reason = "\u{1}".repeat(1 << 20);
        let kept = talkative.clone().fitting();
        assert!(kept.whole && kept.size() < 600_000, "{}", kept.size());
        assert_eq!(kept.kept_hash(), Some(talkative.content_hash()));
    }

    #[test]
    fn a_time_without_a_form_becomes_the_nearest_one_that_has() {
        let ends = (Timestamp::FIRST, Timestamp::LAST);
        let before = Timestamp::from_millis(-1);
        for (at, nearest) in
            [(Timestamp::MIN, ends.0), (Timestamp::from_millis(i64::MAX), ends.1), (before, before)]
        {
            let letter = DeadLetterStored::new(("t".into(), 0, 0), String::new(), at, None, None, []);
            assert_eq!(letter.recorded_at, nearest);
        }
    }
}
