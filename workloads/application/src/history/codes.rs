//! Numbers under which stores keep kinds of events. A number never gets another meaning.

use kbnt_domain::event::EventKind;

macro_rules! codes {
    ($($code:literal = $kind:ident,)+ none: $($other:ident),+) => {
        /// The number of a kind of event; `None` for one that is not about an order.
        pub const fn event_code(kind: EventKind) -> Option<u8> {
            match kind {
                $(EventKind::$kind => Some($code),)+
                $(EventKind::$other)|+ => None,
            }
        }

        /// The kind of event of this number.
        pub const fn event_kind(code: u8) -> Option<EventKind> {
            match code {
                $($code => Some(EventKind::$kind),)+
                _ => None,
            }
        }
    };
}

codes! {
    1 = PlaceOrder,
    2 = OrderCancelRequested,
    3 = OrderCreated,
    4 = OrderCancelled,
    5 = UserValidated,
    6 = UserRejected,
    7 = VirtualStockReserved,
    8 = InsufficientStock,
    9 = ProductNotFound,
    10 = ReservationRefused,
    11 = ReservationConfirmed,
    12 = ReservationReleased,
    13 = ReservationExpired,
    14 = ReservationLost,
    15 = OrderRepeated,
    16 = PaymentProcessed,
    17 = PaymentFailed,
    18 = PaymentRefunded,
    19 = NotificationSent,
    20 = NotificationFailed,
    none: UserRegistered, UserStatusChanged, StockDeclared, LowStock
}
