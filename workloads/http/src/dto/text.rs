//! JSON forms of ids, money and texts.

use std::fmt;
use std::str::FromStr;

use kbnt_domain::{Currency, Money};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// An amount of money: decimal text, never a number.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Money)]
pub(crate) struct MoneyBody {
    /// With the decimal places of its currency.
    #[schema(pattern = r"^[0-9]{1,19}(\.[0-9]{1,4})?$", examples("599.99"))]
    value: String,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$", examples("BRL"))]
    currency: String,
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self { value: money.to_string(), currency: money.currency().code().to_owned() }
    }
}

/// The object form of a price.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Price)]
pub(crate) struct PriceObject {
    /// With at most the decimal places of its currency.
    #[schema(pattern = r"^[0-9]{1,14}(\.[0-9]{1,4})?$", examples("599.99"))]
    value: String,
    /// ISO 4217; BRL by default.
    #[serde(default)]
    #[schema(pattern = "^[A-Z]{3}$", examples("BRL"))]
    currency: Option<String>,
}

/// The most digits before the point of a price in object form: with four decimals it is still a valid amount.
const INTEGER_DIGITS_MOST: usize = 14;

/// The same for a price in text form, which is in BRL.
const INTEGER_DIGITS_MOST_BRL: usize = 16;

/// Parses a price: `"599.99"` (in BRL), or `{"value": "599.99", "currency": "BRL"}`.
pub(super) fn money<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
    struct Price;

    impl<'de> Visitor<'de> for Price {
        type Value = Money;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("decimal text such as \"599.99\", or an object with value and currency")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Money, E> {
            if text.split('.').next().is_some_and(|integer| integer.len() > INTEGER_DIGITS_MOST_BRL) {
                return Err(E::custom(format!(
                    "a price has at most {INTEGER_DIGITS_MOST_BRL} digits before the point"
                )));
            }
            Money::parse(text, Currency::BRL).map_err(E::custom)
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Money, A::Error> {
            let object = PriceObject::deserialize(MapAccessDeserializer::new(map))?;
            if object.value.split('.').next().is_some_and(|integer| integer.len() > INTEGER_DIGITS_MOST) {
                return Err(A::Error::custom(format!(
                    "a price has at most {INTEGER_DIGITS_MOST} digits before the point"
                )));
            }
            let currency = object.currency.map_or(Ok(Currency::BRL), |code| code.parse());
            let money = currency.and_then(|currency| Money::parse(&object.value, currency));
            money.map_err(A::Error::custom)
        }
    }

    deserializer.deserialize_any(Price)
}

/// Parses any value that is written as text.
pub(super) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

/// Parses a text for people: 1 to `MOST` characters, none of them a control character.
pub(super) fn plain_text<'de, D: Deserializer<'de>, const MOST: usize>(
    deserializer: D,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fits = (1..=MOST).contains(&text.chars().count());
    if fits && !text.trim().is_empty() && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(D::Error::custom(format!(
            "1 to {MOST} characters, not only spaces and none of them a control character"
        )))
    }
}

/// Parses a whole number, which JSON may also write as `125.0` or `1e3`.
pub(super) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    struct WholeNumber;

    impl Visitor<'_> for WholeNumber {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number that is not negative")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
            Ok(number)
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<u64, E> {
            // Without an exponent or a fraction it parses as it is; beyond 2^53 a float is not exact.
            let text = number.to_string();
            let exact = text.parse().ok().filter(|exact| *exact <= 1 << 53);
            exact.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
        }
    }

    deserializer.deserialize_u64(WholeNumber)
}
