//! Everything that happens to orders, users, stock and payments, as values. Commands ask, domain events tell, integration events face outward.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::order::OrderStatus;
use crate::{
    Money, OrderId, ProductId, Quantity, Reason, ReservationId, SourceId, Timestamp, TransactionId, UserId,
};

/// One line of an order as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// What.
    pub product: ProductId,
    /// How many.
    pub quantity: Quantity,
}

/// One line of a reservation, at the catalogue's price of that moment. One product stands in one line only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedLine {
    /// What.
    pub product: ProductId,
    /// Units: the sum over the order's lines of this product (at most 100 lines of 1,000,000).
    pub units: u64,
    /// For one unit.
    pub unit_price: Money,
}

/// How the customer pays. The token is a single-use reference of the card processor's, never a card number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaymentMethod {
    /// Such as `credit_card`; the gateway gives it a meaning.
    pub method: String,
    /// The processor's token.
    pub token: Option<String>,
}

/// What the customer ordered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Basket {
    /// Who orders.
    pub user: UserId,
    /// 1 to 100 lines, in the customer's order; a product may stand in several.
    pub lines: Vec<Line>,
    /// How it will be paid.
    pub payment: PaymentMethod,
}

impl Basket {
    /// A digest that tells baskets apart, the same on every machine and in every version: it stands in the log. Baskets that ask
    /// for the same units of the same products are the same, in whatever order and in however many lines.
    pub fn fingerprint(&self) -> u64 {
        if self.lines.is_sorted_by(|one, next| one.product < next.product) {
            return self.written_fingerprint();
        }
        let mut units: BTreeMap<&str, u64> = BTreeMap::new();
        for line in &self.lines {
            *units.entry(line.product.as_str()).or_default() += line.quantity.units();
        }
        self.digest(units.into_iter())
    }

    /// Whether `known` is the fingerprint of this basket, or the one that earlier versions gave it: they told the same units in
    /// another order of lines apart.
    pub fn has_fingerprint(&self, known: u64) -> bool {
        known == self.fingerprint() || known == self.written_fingerprint()
    }

    /// The digest of the lines as they are written.
    fn written_fingerprint(&self) -> u64 {
        self.digest(self.lines.iter().map(|line| (line.product.as_str(), line.quantity.units())))
    }

    fn digest<'a>(&self, lines: impl ExactSizeIterator<Item = (&'a str, u64)>) -> u64 {
        let mut digest = Digest::default();
        digest.text(self.user.as_str());
        digest.text(&self.payment.method);
        if let Some(token) = &self.payment.token {
            digest.text(token);
        }
        digest.number(lines.len() as u64);
        for (product, units) in lines {
            digest.number(units);
            digest.text(product);
        }
        digest.finish()
    }
}

/// Whether a user may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserStatus {
    /// May order.
    Active,
    /// May not.
    Blocked,
}

/// How an order that was not confirmed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelKind {
    /// Refused before anything was reserved.
    Rejected,
    /// Undone after.
    Cancelled,
}

/// Units of one product.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Physically there: received less confirmed.
    pub real: u64,
    /// Held by active reservations.
    pub reserved: u64,
}

impl Level {
    /// What may still be promised: real less reserved.
    pub const fn available(self) -> u64 {
        self.real - self.reserved
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })+) => {
        /// One thing that happened or is asked for.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event { $($(#[$doc])* $variant($variant),)+ }

        /// Which kind of event it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[$doc])* $variant,)+ }

        impl Event {
            /// Its kind.
            pub const fn kind(&self) -> EventKind {
                match self { $(Self::$variant(_) => EventKind::$variant,)+ }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $variant { $($(#[$field_doc])* pub $field: $type,)+ }

            impl From<$variant> for Event {
                fn from(event: $variant) -> Self {
                    Self::$variant(event)
                }
            }
        )+
    };
}

events! {
    /// A customer asks for an order.
    PlaceOrder {
        /// The order.
        order: OrderId,
        /// What is in it.
        basket: Basket,
    }
    /// A customer asks to undo an order.
    OrderCancelRequested {
        /// The order.
        order: OrderId,
    }
    /// The order is confirmed: paid, and the stock is diminished.
    OrderCreated {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
        /// The confirmed reservation.
        reservation: ReservationId,
        /// What was paid.
        amount: Money,
        /// The gateway's name for the charge.
        transaction: TransactionId,
    }
    /// The order ended without being confirmed.
    OrderCancelled {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
        /// Before or after something was reserved.
        kind: CancelKind,
        /// Why.
        reason: Reason,
    }
    /// A user was added, or its data changed.
    UserRegistered {
        /// The user.
        user: UserId,
        /// For salutations.
        name: String,
        /// For notifications.
        email: String,
    }
    /// A user may order again, or no more.
    UserStatusChanged {
        /// The user.
        user: UserId,
        /// From now on.
        status: UserStatus,
    }
    /// The user of an order may order.
    UserValidated {
        /// The order.
        order: OrderId,
        /// What is in it.
        basket: Basket,
        /// When the order was placed; commands older than the window are refused.
        placed_at: Timestamp,
    }
    /// The user of an order is unknown or blocked.
    UserRejected {
        /// The order.
        order: OrderId,
        /// The user.
        user: UserId,
        /// Why.
        reason: Reason,
        /// The order was rejected before, and is asked for again: whoever has forgotten it learns how it ended.
        repeated: bool,
    }
    /// A source says how many units it has ever received, and what the product is called and costs.
    StockDeclared {
        /// The product.
        product: ProductId,
        /// For people.
        name: String,
        /// For one unit.
        unit_price: Money,
        /// [`LowStock`] below this.
        low_stock_threshold: u64,
        /// Who declares.
        source: SourceId,
        /// All units ever received by this source.
        received: u64,
        /// Levels after it.
        level: Level,
    }
    /// Available fell below the threshold.
    LowStock {
        /// The product.
        product: ProductId,
        /// The threshold.
        threshold: u64,
        /// Levels at the crossing.
        level: Level,
    }
    /// All lines of the order are reserved, in one record and so at once.
    VirtualStockReserved {
        /// The order.
        order: OrderId,
        /// The reservation.
        reservation: ReservationId,
        /// Whose.
        user: UserId,
        /// Which number of reservation of this order it is, from 0.
        attempt: u32,
        /// What.
        lines: Vec<PricedLine>,
        /// The sum over the lines.
        amount: Money,
        /// How it will be paid; `None` where it is paid already (made again for a payment that came after the expiry).
        payment: Option<PaymentMethod>,
        /// From this instant on the units are available again.
        expires_at: Timestamp,
        /// A digest of the basket, to tell the same request from another one under the same id.
        fingerprint: u64,
    }
    /// Less is available than the order asks for; nothing was reserved.
    InsufficientStock {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
        /// The first product that falls short.
        product: ProductId,
        /// Units asked for.
        requested: u64,
        /// Units that were available.
        available: u64,
        /// See [`VirtualStockReserved`].
        fingerprint: u64,
    }
    /// The order names a product that nobody declared; nothing was reserved.
    ProductNotFound {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
        /// The first such product.
        product: ProductId,
        /// See [`VirtualStockReserved`].
        fingerprint: u64,
    }
    /// The order cannot be taken for another reason than its stock (too old, no valid total); nothing was reserved.
    ReservationRefused {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
        /// Why.
        reason: Reason,
        /// See [`VirtualStockReserved`].
        fingerprint: u64,
    }
    /// Paid: the units have left the stock.
    ReservationConfirmed {
        /// The order.
        order: OrderId,
        /// The reservation.
        reservation: ReservationId,
        /// Whose.
        user: UserId,
        /// What was paid.
        amount: Money,
        /// The charge.
        transaction: TransactionId,
    }
    /// Undone: the units are available again. Without a reservation it stands for the promise that a late one is refused.
    ReservationReleased {
        /// The order.
        order: OrderId,
        /// The reservation, if there was one.
        reservation: Option<ReservationId>,
        /// Why.
        reason: Reason,
    }
    /// Time was up: the units are available again since `deadline`.
    ReservationExpired {
        /// The order.
        order: OrderId,
        /// The reservation.
        reservation: ReservationId,
        /// The instant that was promised.
        deadline: Timestamp,
    }
    /// Paid, but there is no reservation any more and none can be made: the charge must be undone.
    ReservationLost {
        /// The order.
        order: OrderId,
        /// The last reservation, if there was one.
        reservation: Option<ReservationId>,
        /// What must be refunded.
        amount: Money,
        /// The charge.
        transaction: TransactionId,
        /// Why there is no reservation.
        reason: Reason,
    }
    /// An order was asked for again after it had ended: this is how. Nothing is decided anew, whoever has forgotten it.
    OrderRepeated {
        /// The order.
        order: OrderId,
        /// Whose.
        user: UserId,
        /// How it ended; never pending.
        status: OrderStatus,
        /// Why it was not confirmed.
        reason: Option<Reason>,
        /// Its last reservation, if there was one.
        reservation: Option<ReservationId>,
        /// Of the basket that was decided on; see [`VirtualStockReserved`].
        fingerprint: u64,
    }
    /// The charge is made.
    PaymentProcessed {
        /// The order.
        order: OrderId,
        /// The reservation that it pays.
        reservation: ReservationId,
        /// How much.
        amount: Money,
        /// The gateway's name for it.
        transaction: TransactionId,
    }
    /// No charge was made and none will be.
    PaymentFailed {
        /// The order.
        order: OrderId,
        /// The reservation that it was for.
        reservation: ReservationId,
        /// How much it would have been.
        amount: Money,
        /// Why.
        reason: Reason,
        /// The gateway says that it has charged, by no name that can be used: the charge is undone by its order.
        refund_due: bool,
    }
    /// The charge is undone.
    PaymentRefunded {
        /// The order.
        order: OrderId,
        /// How much.
        amount: Money,
        /// The charge that was undone.
        transaction: TransactionId,
        /// Why it had to be.
        reason: Reason,
    }
    /// The customer was told how the order ended.
    NotificationSent {
        /// The order.
        order: OrderId,
        /// Whom.
        user: UserId,
        /// By which way, such as `log` or `webhook`.
        channel: String,
        /// Which kind of message, such as `order-confirmed`.
        template: String,
    }
    /// The customer could not be told, and it will not be tried again.
    NotificationFailed {
        /// The order.
        order: OrderId,
        /// Whom.
        user: UserId,
        /// By which way.
        channel: String,
        /// What the last try said.
        detail: String,
    }
}
