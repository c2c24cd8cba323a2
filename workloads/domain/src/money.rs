//! Money as integer minor units: decimal in text, never a float, and an overflow is an error.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An ISO 4217 code, such as `BRL`. All currencies here have two decimal places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The Brazilian real, the currency of a shop that names no other.
    pub const BRL: Self = Self(*b"BRL");

    /// The three letters.
    pub fn code(&self) -> &str {
        // Holds by construction: only ASCII capitals get in.
        std::str::from_utf8(&self.0).unwrap_or("???")
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.as_bytes() {
            &[a, b, c] if text.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(Self([a, b, c])),
            _ => Err(MoneyError::Currency),
        }
    }
}

/// Why a text or a sum is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Not digits with at most two after a point.
    #[error("an amount is decimal text with at most two decimal places, such as 599.99")]
    Format,
    /// Not three capital letters.
    #[error("a currency is three capital letters, such as BRL")]
    Currency,
    /// Too large for 64 bits of minor units.
    #[error("the amount is too large")]
    Overflow,
    /// A sum over two currencies.
    #[error("amounts of different currencies cannot be added")]
    MixedCurrencies,
}

/// A non-negative amount in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// `minor` hundredths of the currency's unit; negative amounts are refused as malformed.
    pub fn from_minor(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor < 0 { Err(MoneyError::Format) } else { Ok(Self { minor, currency }) }
    }

    /// Reads decimal text such as `599.99`, `600` or `0.5`. No sign, no exponent, no spaces.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || fraction.len() > 2 {
            return Err(MoneyError::Format);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::Overflow)?;
        let hundredths: i64 = fraction.parse().map_err(|_| MoneyError::Format)?;
        let hundredths = if fraction.len() == 1 { hundredths * 10 } else { hundredths };
        let minor = whole.checked_mul(100).and_then(|minor| minor.checked_add(hundredths));
        Ok(Self { minor: minor.ok_or(MoneyError::Overflow)?, currency })
    }

    /// Hundredths of the currency's unit.
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum; refused on overflow and over two currencies.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies);
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }

    /// This price for `units` units; refused on overflow.
    pub fn times(self, units: u64) -> Result<Self, MoneyError> {
        let units = i64::try_from(units).map_err(|_| MoneyError::Overflow)?;
        let minor = self.minor.checked_mul(units).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

impl fmt::Display for Money {
    /// The decimal text without the currency, always with two decimal places.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.minor / 100, self.minor % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_text_reads_and_prints_the_same() {
        for (text, minor, printed) in
            [("599.99", 59_999, "599.99"), ("600", 60_000, "600.00"), ("0.5", 50, "0.50"), ("0", 0, "0.00")]
        {
            let money = Money::parse(text, Currency::BRL).unwrap();
            assert_eq!((money.minor(), money.to_string().as_str()), (minor, printed), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1.234", "1e3", " 1", "1,5", "NaN", "٣"] {
            assert_eq!(Money::parse(text, Currency::BRL), Err(MoneyError::Format), "{text:?}");
        }
        for text in ["92233720368547758.08", "99999999999999999999"] {
            assert_eq!(Money::parse(text, Currency::BRL), Err(MoneyError::Overflow), "{text}");
        }
    }

    #[test]
    fn sums_are_checked() {
        let most = Money::from_minor(i64::MAX, Currency::BRL).unwrap();
        assert_eq!(most.plus(Money::from_minor(1, Currency::BRL).unwrap()), Err(MoneyError::Overflow));
        assert_eq!(most.times(2), Err(MoneyError::Overflow));
        let usd = Money::zero("USD".parse().unwrap());
        assert_eq!(most.plus(usd), Err(MoneyError::MixedCurrencies));
    }
}
