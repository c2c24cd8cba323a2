//! Why an order did not end as its customer wished: stable codes that programs rely on.

use std::fmt;
use std::str::FromStr;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)+) => {
        /// A reason code, written as in the API and in events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The code as it is written.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }
        }
    };
}

reasons! {
    /// No such user.
    UserNotFound = "USER_NOT_FOUND",
    /// The user may not order.
    UserBlocked = "USER_BLOCKED",
    /// A line names a product that nobody declared.
    ProductNotFound = "PRODUCT_NOT_FOUND",
    /// Less is available than a line asks for.
    InsufficientStock = "INSUFFICIENT_STOCK",
    /// The gateway refused the charge.
    PaymentDeclined = "PAYMENT_DECLINED",
    /// The reservation's time was up before the payment was good.
    ReservationExpired = "RESERVATION_EXPIRED",
    /// The client asked to cancel before the confirmation.
    CancelledByClient = "CANCELLED_BY_CLIENT",
    /// The gateway could not be reached until the reservation expired.
    PaymentUnavailable = "PAYMENT_UNAVAILABLE",
    /// The command is older than the window in which ended orders are remembered.
    StaleCommand = "STALE_COMMAND",
    /// The total does not fit, or mixes currencies.
    AmountInvalid = "AMOUNT_INVALID",
}

/// A text that is no reason code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown reason code {0:?}")]
pub struct UnknownReason(pub String);

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(code: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
            .ok_or_else(|| UnknownReason(code.into()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
