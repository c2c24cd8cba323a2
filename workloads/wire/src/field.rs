//! How single fields are written: ids and codes as text, money as decimal text, instants as RFC 3339.
#![allow(clippy::trivially_copy_pass_by_ref, clippy::ref_option, reason = "serde calls them so")]

use std::fmt::Display;
use std::str::FromStr;

use kbnt_application::event::Bytes;
use kbnt_domain::event::{CancelKind, Level, UserStatus};
use kbnt_domain::order::OrderStatus;
use kbnt_domain::{Money, Quantity, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Anything that is its text: ids, reason codes.
pub(super) mod text {
    use super::{Deserializer, Display, FromStr, Serializer};

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        from.deserialize_str(super::TextVisitor(std::marker::PhantomData))
    }
}

/// Anything that is its text, to be read.
#[derive(Deserialize)]
#[serde(bound = "T: FromStr<Err: Display>")]
pub(super) struct Text<T>(#[serde(with = "text")] pub(super) T);

/// A text that may be missing or null.
pub(super) mod optional_text {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer, Text};

    pub(in super::super) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        Ok(Option::<Text<T>>::deserialize(from)?.map(|Text(value)| value))
    }
}

/// Reads a text without keeping a copy of it.
struct TextVisitor<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err: Display>> serde::de::Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// An instant as RFC 3339 in UTC with milliseconds; read with any offset. One that is in no year from 0000 to 9999 once it is in UTC
/// is refused: what is read must have a form to be written in.
pub(super) mod instant {
    use super::{Deserializer, Serializer, Timestamp};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<S: Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::text::rfc3339(*at))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(from)?;
        crate::text::instant(&text).map_err(|error| D::Error::custom(format_args!("{text:?} {error}")))
    }
}

/// A text of at most `MOST` characters. What other programs write is carried on in records of ours, and those must stay below what
/// a log takes.
pub(super) fn short_text<'de, const MOST: usize, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    check_length::<MOST, D::Error>(&text)?;
    Ok(text)
}

/// The same, where it may be missing or null.
pub(super) fn optional_short_text<'de, const MOST: usize, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.as_deref().map(check_length::<MOST, D::Error>).transpose()?;
    Ok(text)
}

fn check_length<const MOST: usize, E: serde::de::Error>(text: &str) -> Result<(), E> {
    let length = text.chars().count();
    if length <= MOST {
        return Ok(());
    }
    Err(E::custom(format_args!("a text of {length} characters, where {MOST} are the most")))
}

/// A number of at most `MOST`.
pub(super) fn at_most<'de, const MOST: u64, T, D>(from: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    let number = u64::deserialize(from)?;
    let too_large = || serde::de::Error::custom(format_args!("{number} is more than {MOST}"));
    T::try_from(number).ok().filter(|_| number <= MOST).ok_or_else(too_large)
}

/// `{"value": "599.99", "currency": "BRL"}`.
pub(super) mod money {
    use super::{Deserialize, Deserializer, Money, Serialize, Serializer};
    use serde::de::Error as _;

    #[derive(Serialize, Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        value: std::borrow::Cow<'a, str>,
        #[serde(borrow)]
        currency: std::borrow::Cow<'a, str>,
    }

    pub(in super::super) fn serialize<S: Serializer>(money: &Money, to: S) -> Result<S::Ok, S::Error> {
        let currency = money.currency();
        Wire { value: money.to_string().into(), currency: currency.code().into() }.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Money, D::Error> {
        let wire = Wire::deserialize(from)?;
        Money::recorded(&wire.value, &wire.currency).map_err(D::Error::custom)
    }
}

/// Units of one order line, in its range.
pub(super) mod quantity {
    use super::{Deserialize, Deserializer, Quantity, Serializer};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<S: Serializer>(quantity: &Quantity, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(quantity.units())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Quantity, D::Error> {
        Quantity::new(u64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Real, reserved and what follows from them.
pub(super) mod level {
    use super::{Deserialize, Deserializer, Level, Serialize, Serializer};
    use serde::de::Error as _;

    #[derive(Serialize, Deserialize)]
    struct Wire {
        real: u64,
        reserved: u64,
        #[serde(skip_deserializing)]
        available: u64,
    }

    pub(in super::super) fn serialize<S: Serializer>(level: &Level, to: S) -> Result<S::Ok, S::Error> {
        Wire { real: level.real, reserved: level.reserved, available: level.available() }.serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Level, D::Error> {
        let Wire { real, reserved, .. } = Wire::deserialize(from)?;
        if reserved > real {
            return Err(D::Error::custom("more is reserved than there is"));
        }
        Ok(Level { real, reserved })
    }
}

/// 64 bits as 16 hexadecimal digits, which no reader's number type can round.
pub(super) mod hex64 {
    use super::{Deserializer, Serializer};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{value:016x}"))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(from)?;
        u64::from_str_radix(&text, 16).map_err(|_| D::Error::custom("expected 16 hexadecimal digits"))
    }
}

/// A SHA-256 as 64 hexadecimal digits.
pub(super) mod sha256 {
    use super::{Deserializer, Serializer};
    use serde::de::Error as _;

    pub(in super::super) fn serialize<S: Serializer>(hash: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&crate::text::hex(hash))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text: std::borrow::Cow<'de, str> = serde::Deserialize::deserialize(from)?;
        let mut hash = [0; 32];
        const_hex::decode_to_slice(text.as_bytes(), &mut hash)
            .map_err(|_| D::Error::custom("expected 64 hexadecimal digits"))?;
        Ok(hash)
    }
}

/// A SHA-256, or null.
pub(super) mod optional_sha256 {
    use super::{Deserialize, Deserializer, Serialize, Serializer, sha256};

    #[derive(Serialize, Deserialize)]
    struct Hash(#[serde(with = "sha256")] [u8; 32]);

    pub(in super::super) fn serialize<S: Serializer>(
        hash: &Option<[u8; 32]>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        hash.map(Hash).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<[u8; 32]>, D::Error> {
        Ok(Option::<Hash>::deserialize(from)?.map(|Hash(hash)| hash))
    }
}

/// Bytes in base64, or null.
pub(super) mod base64 {
    use super::{Bytes, Deserialize, Deserializer, Serialize, Serializer};
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &Option<Bytes>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(crate::text::base64).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Bytes>, D::Error> {
        let text: Option<std::borrow::Cow<'de, str>> = Deserialize::deserialize(from)?;
        let decode = |text: std::borrow::Cow<'_, str>| STANDARD.decode(text.as_bytes());
        Ok(text.map(decode).transpose().map_err(D::Error::custom)?.map(Bytes::from))
    }
}

/// `ACTIVE` or `BLOCKED`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "UserStatus", rename_all = "UPPERCASE")]
pub(super) enum UserStatusDef {
    Active,
    Blocked,
}

/// `CONFIRMED`, `REJECTED` or `CANCELLED`: of what has ended.
#[derive(Serialize, Deserialize)]
#[serde(remote = "OrderStatus", rename_all = "UPPERCASE")]
pub(super) enum EndStatusDef {
    /// Nobody writes it.
    #[serde(skip_deserializing)]
    Pending,
    Confirmed,
    Rejected,
    Cancelled,
}

/// `REJECTED` or `CANCELLED`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "CancelKind", rename_all = "UPPERCASE")]
pub(super) enum CancelKindDef {
    Rejected,
    Cancelled,
}
