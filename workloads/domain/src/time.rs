//! Instants and spans in whole milliseconds; the domain never asks what time it is.

use std::fmt;
use std::ops::{Add, Sub};

/// An instant: milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that this type holds.
    pub const MIN: Self = Self(i64::MIN);

    /// The first instant that has a form in records and answers: the beginning of the year 0000, UTC.
    pub const FIRST: Self = Self(-62_167_219_200_000);

    /// The last one that has: the end of the year 9999, UTC.
    pub const LAST: Self = Self(253_402_300_799_999);

    /// Whether it can be written: RFC 3339 has a form for the years 0000 to 9999 only.
    pub const fn has_form(self) -> bool {
        Self::FIRST.0 <= self.0 && self.0 <= Self::LAST.0
    }

    /// The nearest instant that has a form.
    #[must_use]
    pub fn with_form(self) -> Self {
        self.clamp(Self::FIRST, Self::LAST)
    }

    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Span {
        let millis = self.0.saturating_sub(earlier.0);
        Span(if millis > 0 { millis.cast_unsigned() } else { 0 })
    }
}

impl Add<Span> for Timestamp {
    type Output = Self;

    /// Saturates at the last instant that has a form, so that a deadline can be written however far it lies.
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add_unsigned(span.0)).min(Self::LAST.max(self))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;

    /// Saturates at the beginning of time.
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0))
    }
}

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

impl Span {
    /// `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// `secs` seconds, saturating.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// `minutes` minutes, saturating.
    pub const fn from_minutes(minutes: u64) -> Self {
        Self::from_secs(minutes.saturating_mul(60))
    }

    /// The length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_computed_of_an_instant_that_can_be_written_can_be_written() {
        let (first, last) = (Timestamp::FIRST, Timestamp::LAST);
        for at in [first, Timestamp::from_millis(0), last] {
            for span in [Span::from_millis(0), Span::from_minutes(15), Span::from_millis(u64::MAX)] {
                assert!((at + span).has_form(), "{at:?} + {span}");
            }
        }
        assert_eq!(last + Span::from_millis(1), last);
        assert_eq!(Timestamp::from_millis(i64::MAX) + Span::from_millis(1), Timestamp::from_millis(i64::MAX));
    }

    #[test]
    fn an_instant_without_a_form_has_a_nearest_one() {
        for (millis, nearest) in [
            (i64::MIN, Timestamp::FIRST),
            (Timestamp::FIRST.0 - 1, Timestamp::FIRST),
            (Timestamp::LAST.0 + 1, Timestamp::LAST),
            (1_700_000_000_000_000, Timestamp::LAST),
        ] {
            let at = Timestamp::from_millis(millis);
            assert!(!at.has_form() && at.with_form() == nearest, "{millis}");
        }
        assert_eq!(Timestamp::from_millis(-1).with_form(), Timestamp::from_millis(-1));
    }
}
