//! Identifiers. Those that people choose are short texts; those that we derive are UUIDs.

use std::fmt;
use std::str::FromStr;

use smol_str::SmolStr;
use thiserror::Error;
use uuid::Uuid;

/// A text that is no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an id is 1 to 64 characters of letters, digits, '-', '_' and '.'")]
pub struct InvalidId;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// 1 to 64 characters of letters, digits, `-`, `_` and `.`; cheap to clone, and up to 23 of them take no memory elsewhere.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if kbnt_rules::is_id(text) { Ok(Self(text.into())) } else { Err(InvalidId) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(
    /// A product of the catalogue.
    ProductId
);
text_id!(
    /// A customer.
    UserId
);
text_id!(
    /// Who declares stock: each source counts its own receipts.
    SourceId
);
/// A text that names no charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a transaction id is 1 to 255 characters, none of them a control character")]
pub struct InvalidTransactionId;

/// The payment gateway's name for a charge: 1 to [`TransactionId::LONGEST`] characters of any script, none of them a control
/// character. Gateways choose it, so nothing else is asked of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(SmolStr);

impl TransactionId {
    /// The most characters that it has.
    pub const LONGEST: usize = 255;

    /// The name of an order's charge where the gateway gave it none that can be used: the order's own.
    pub fn of_order(order: &OrderId) -> Self {
        Self(order.to_string().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TransactionId {
    type Err = InvalidTransactionId;

    fn from_str(text: &str) -> Result<Self, InvalidTransactionId> {
        let length = text.chars().take(Self::LONGEST + 1).count();
        if (1..=Self::LONGEST).contains(&length) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidTransactionId)
        }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(
    /// An order.
    OrderId
);
uuid_id!(
    /// One reservation; reserving again after an expiry is another one.
    ReservationId
);
uuid_id!(
    /// A record of the log.
    EventId
);

/// The namespace of all our version 5 UUIDs.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b62_6e74_2d76_5573_8274_7561_6c73_746b);

impl OrderId {
    /// The order that `user` places under idempotency key `key`: the same pair is always the same order.
    pub fn derive(user: &UserId, key: &str) -> Self {
        // The user id has no '/', so the pair is unambiguous.
        Self(Uuid::new_v5(&NAMESPACE, format!("order/{user}/{key}").as_bytes()))
    }
}

impl ProductId {
    /// Whether a product may be declared under this id. A log may know others, from before there was this rule, and they are
    /// read all the same.
    pub fn can_be_declared(&self) -> bool {
        kbnt_rules::is_product_id(self.as_str())
    }
}

/// Where a UUID's version starts, in bits from the right.
const VERSION_AT: u32 = 76;
/// Where a UUID's variant starts, in bits from the right.
const VARIANT_AT: u32 = 62;

impl ReservationId {
    /// The `attempt`-th reservation of `order`, counted from 0.
    ///
    /// A version 8 UUID: the order's bits with the attempt mixed into them. Distinct orders and attempts stay
    /// distinct as far as the order ids differ in the bits that a version leaves free.
    pub fn derive(order: &OrderId, attempt: u32) -> Self {
        let bits = order.0.as_u128() ^ Self::mask(attempt);
        Self(uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid())
    }

    /// The orders whose `attempt`-th reservation this can be: they differ only in the bits that a version takes.
    pub fn orders(&self, attempt: u32) -> impl Iterator<Item = OrderId> + use<> {
        let bits = self.0.as_u128() ^ Self::mask(attempt);
        let free = bits & !(0xf << VERSION_AT) & !(0b11 << VARIANT_AT);
        (0..64_u128).map(move |taken| {
            OrderId(Uuid::from_u128(free | (taken >> 2) << VERSION_AT | (taken & 0b11) << VARIANT_AT))
        })
    }

    const fn mask(attempt: u32) -> u128 {
        ((attempt as u128) << 16) ^ 0x5245_5345_5256
    }
}

impl EventId {
    /// The `ordinal`-th event that `service` writes because of `cause`.
    pub fn caused_by(cause: &EventId, service: &str, ordinal: u32) -> Self {
        Self(Uuid::new_v5(&cause.0, format!("{service}/{ordinal}").as_bytes()))
    }

    /// The event that stands for the fact named `name`, such as the placing of an order.
    pub fn named(name: &str) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_ids_keep_to_their_alphabet() {
        assert_eq!("PROD-001".parse::<ProductId>().unwrap().as_str(), "PROD-001");
        assert!("a".repeat(64).parse::<UserId>().is_ok());
        for bad in ["", "a b", "a/b", "é", "a\n"] {
            assert_eq!(bad.parse::<UserId>(), Err(InvalidId), "{bad:?}");
        }
        assert_eq!("a".repeat(65).parse::<UserId>(), Err(InvalidId));
    }

    #[test]
    fn a_transaction_id_is_any_text_that_can_be_shown() {
        for good in ["t", "pi_3/x+y=:z", "ch 1", "取引-7", &"é".repeat(255), &"x".repeat(255)] {
            assert_eq!(good.parse::<TransactionId>().unwrap().as_str(), good);
        }
        for bad in ["", "a\n", "\u{1b}[2J", "a\u{85}", "\u{7f}", &"é".repeat(256), &"x".repeat(256)] {
            assert_eq!(bad.parse::<TransactionId>(), Err(InvalidTransactionId), "{bad:?}");
        }
        let order = OrderId::derive(&"USER-1".parse().unwrap(), "k");
        assert_eq!(TransactionId::of_order(&order).as_str().parse(), Ok(TransactionId::of_order(&order)));
    }

    #[test]
    fn an_id_that_is_an_address_of_the_api_is_read_and_not_declared() {
        for id in ["summary", ".", ".."] {
            assert!(!id.parse::<ProductId>().unwrap().can_be_declared(), "{id}");
        }
        assert!("summary-1".parse::<ProductId>().unwrap().can_be_declared());
    }

    #[test]
    fn derived_ids_are_stable_and_distinct() {
        let user: UserId = "USER-1".parse().unwrap();
        let order = OrderId::derive(&user, "k");
        assert_eq!(order, OrderId::derive(&user, "k"));
        assert_ne!(order, OrderId::derive(&user, "l"));
        assert_ne!(ReservationId::derive(&order, 0), ReservationId::derive(&order, 1));
        assert_eq!(ReservationId::derive(&order, 0).as_uuid().get_version_num(), 8);
    }

    #[test]
    fn a_reservation_leads_back_to_its_order() {
        let user: UserId = "USER-1".parse().unwrap();
        let orders = [OrderId::derive(&user, "k"), OrderId(Uuid::nil()), OrderId(Uuid::max())];
        for (order, attempt) in orders.into_iter().flat_map(|order| [(order, 0), (order, 1), (order, 70_000)])
        {
            let reservation = ReservationId::derive(&order, attempt);
            assert!(reservation.orders(attempt).any(|candidate| candidate == order));
            assert!(reservation.orders(attempt).all(|o| ReservationId::derive(&o, attempt) == reservation));
        }
    }
}
