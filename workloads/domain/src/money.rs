//! Money as integer minor units: decimal in text, never a float, and an overflow is an error.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The decimal places that every currency had in the records of earlier versions.
const PLACES_BEFORE: u8 = 2;

/// An ISO 4217 code, such as `BRL`, and the decimal places of its amounts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency {
    code: [u8; 3],
    places: u8,
}

impl Currency {
    /// The Brazilian real, the currency of a shop that names no other.
    pub const BRL: Self = Self { code: *b"BRL", places: 2 };

    /// The three letters.
    pub fn code(&self) -> &str {
        // Holds by construction: only ASCII capitals get in.
        std::str::from_utf8(&self.code).unwrap_or("???")
    }

    /// How many decimal places an amount has: none in yen, two in reais, three in Kuwaiti dinars.
    pub const fn places(self) -> u8 {
        self.places
    }

    /// The currency of an amount that was recorded with so many places. Earlier versions gave each two and took any three
    /// letters; such amounts stay what they are.
    pub fn recorded(code: &str, places: usize) -> Result<Self, MoneyError> {
        match (code.parse::<Self>(), code.as_bytes()) {
            (Ok(known), _) if usize::from(known.places) == places => Ok(known),
            (_, &[a, b, c])
                if places <= PLACES_BEFORE.into() && code.bytes().all(|byte| byte.is_ascii_uppercase()) =>
            {
                Ok(Self { code: [a, b, c], places: PLACES_BEFORE })
            }
            (Ok(_), _) => Err(MoneyError::Format),
            (Err(error), _) => Err(error),
        }
    }

    /// Minor units in one of its units.
    const fn unit(self) -> i64 {
        10_i64.pow(self.places as u32)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    /// A currency of today that has a minor unit or needs none: not gold, not the codes for tests and for no currency.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let known = iso_currency::Currency::from_code(text).ok_or(MoneyError::Currency)?;
        let places =
            known.exponent().and_then(|places| u8::try_from(places).ok()).ok_or(MoneyError::Currency)?;
        match known.code().as_bytes() {
            &[a, b, c] if known.code() == text => Ok(Self { code: [a, b, c], places }),
            _ => Err(MoneyError::Currency),
        }
    }
}

/// Why a text or a sum is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Not digits, or more of them after the point than the currency has places.
    #[error(
        "an amount is decimal text with at most the decimal places of its currency: 599.99 in BRL, 600 in JPY, 1.250 in KWD"
    )]
    Format,
    /// Not the code of a currency that one pays in.
    #[error("a currency is an ISO 4217 code in capital letters, such as BRL")]
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

    /// `minor` of the currency's smallest units; negative amounts are refused as malformed.
    pub fn from_minor(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor < 0 { Err(MoneyError::Format) } else { Ok(Self { minor, currency }) }
    }

    /// All that an amount consists of: its minor units, and the code and the decimal places of its currency. Another field has to be
    /// named here, and then where an amount is taken apart.
    pub fn parts(&self) -> (i64, &str, u8) {
        let Self { minor, currency } = self;
        let Currency { code: _, places } = currency;
        (*minor, currency.code(), *places)
    }

    /// Reads decimal text such as `599.99`, `600` or `0.5`. No sign, no exponent, no spaces, and no more places than the currency
    /// has.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return Err(MoneyError::Format),
            None => (text, ""),
        };
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let missing = usize::from(currency.places).checked_sub(fraction.len()).ok_or(MoneyError::Format)?;
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            return Err(MoneyError::Format);
        }
        let whole: i64 = whole.parse().map_err(|_| MoneyError::Overflow)?;
        let mut rest: i64 =
            if fraction.is_empty() { 0 } else { fraction.parse().map_err(|_| MoneyError::Format)? };
        for _ in 0..missing {
            rest *= 10;
        }
        let minor = whole.checked_mul(currency.unit()).and_then(|minor| minor.checked_add(rest));
        Ok(Self { minor: minor.ok_or(MoneyError::Overflow)?, currency })
    }

    /// Reads an amount as it was recorded, by this version or an earlier one; see [`Currency::recorded`].
    pub fn recorded(text: &str, currency: &str) -> Result<Self, MoneyError> {
        let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        Self::parse(text, Currency::recorded(currency, places)?)
    }

    /// The currency's smallest units.
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
    /// The decimal text without the currency, with all of its places.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, places) = (self.currency.unit(), usize::from(self.currency.places));
        write!(f, "{}", self.minor / unit)?;
        if places > 0 { write!(f, ".{:0places$}", self.minor % unit) } else { Ok(()) }
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
    fn each_currency_has_its_places() {
        for (code, text, minor, printed) in [
            ("JPY", "100", 100, "100"),
            ("KWD", "1.25", 1_250, "1.250"),
            ("KWD", "0.001", 1, "0.001"),
            ("CLF", "1.0001", 10_001, "1.0001"),
            ("USD", "0.1", 10, "0.10"),
        ] {
            let money = Money::parse(text, code.parse().unwrap()).unwrap();
            assert_eq!((money.minor(), money.to_string().as_str()), (minor, printed), "{text} {code}");
            assert_eq!(Money::recorded(printed, code), Ok(money), "{code} is read back");
        }
        for (code, text) in [("JPY", "100.50"), ("JPY", "100.0"), ("KWD", "1.2345"), ("BRL", "1.234")] {
            assert_eq!(Money::parse(text, code.parse().unwrap()), Err(MoneyError::Format), "{text} {code}");
        }
    }

    #[test]
    fn only_what_one_pays_in_is_a_currency() {
        for code in ["XXX", "XTS", "XAU", "XDR", "ABC", "ZZZ", "brl", "Brl", "BR", "BRLL", "", "B\u{e9}"] {
            assert_eq!(code.parse::<Currency>(), Err(MoneyError::Currency), "{code:?}");
        }
    }

    #[test]
    fn what_earlier_versions_recorded_is_still_what_it_was() {
        for (code, text, minor) in [
            ("JPY", "100.50", 10_050),
            ("JPY", "100.00", 10_000),
            ("KWD", "1.25", 125),
            ("XXX", "5.00", 500),
            ("ABC", "0.01", 1),
            ("BRL", "599.99", 59_999),
        ] {
            let money = Money::recorded(text, code).unwrap();
            assert_eq!((money.minor(), money.to_string().as_str()), (minor, text), "{text} {code}");
            assert_eq!(money.currency().code(), code);
        }
        assert_eq!(Money::recorded("1.234", "XXX"), Err(MoneyError::Currency));
        assert_eq!(Money::recorded("1.234", "BRL"), Err(MoneyError::Format));
        assert_eq!(Money::recorded("1.00", "brl"), Err(MoneyError::Currency));
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
