//! A ledger with short names for the tests.

use kbnt_domain::event::{Basket, Event, Line, PaymentFailed, PaymentMethod, PaymentProcessed};
use kbnt_domain::stock::{
    CreditId, Declaration, DeclareError, EmittedEvent, Ledger, Outcome, ProductLevel, Request, StockTerms,
};
use kbnt_domain::{Currency, Money, OrderId, Quantity, Reason, ReservationId, Span, Timestamp};
use uuid::Uuid;

pub(crate) const TTL: Span = Span::from_minutes(15);
pub(crate) const WINDOW: Span = Span::from_minutes(24 * 60);
pub(crate) const SKEW: Span = Span::from_minutes(60);

pub(crate) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000_000 + millis)
}

pub(crate) fn order(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(number << 96 | 0x4000_8000_0000_0000_0000))
}

pub(crate) fn reservation(number: u128, attempt: u32) -> ReservationId {
    ReservationId::derive(&order(number), attempt)
}

pub(crate) fn money(text: &str) -> Money {
    Money::parse(text, Currency::BRL).unwrap()
}

pub(crate) fn basket(lines: &[(&str, u64)]) -> Basket {
    let line = |&(product, units): &(&str, u64)| Line {
        product: product.parse().unwrap(),
        quantity: Quantity::new(units).unwrap(),
    };
    Basket {
        user: "USER-1".parse().unwrap(),
        lines: lines.iter().map(line).collect(),
        payment: PaymentMethod { method: "credit_card".into(), token: None },
    }
}

pub(crate) fn declaration(product: &str, received: u64) -> Declaration {
    Declaration {
        product: product.parse().unwrap(),
        name: format!("The {product}"),
        unit_price: money("10.00"),
        received,
        low_stock_threshold: Some(0),
        source: "test".parse().unwrap(),
    }
}

pub(crate) fn processed(number: u128, attempt: u32, amount: &str) -> PaymentProcessed {
    PaymentProcessed {
        order: order(number),
        reservation: reservation(number, attempt),
        amount: money(amount),
        transaction: format!("tx-{number}").parse().unwrap(),
    }
}

pub(crate) fn failed(number: u128, reason: Reason) -> PaymentFailed {
    PaymentFailed {
        order: order(number),
        reservation: reservation(number, 0),
        amount: money("10.00"),
        reason,
        refund_due: false,
    }
}

/// A ledger, its clock, and all that it told.
pub(crate) struct Shop {
    pub(crate) ledger: Ledger,
    pub(crate) now: i64,
    pub(crate) log: Vec<(Timestamp, Event)>,
    /// Freed by the decisions so far, and not settled.
    pub(crate) open: Vec<CreditId>,
    /// Whether each step's credits are settled at its end.
    pub(crate) settles: bool,
}

impl Shop {
    /// An open ledger with these products and units.
    pub(crate) fn with(stock: &[(&str, u64)]) -> Self {
        let mut shop = Self::new(StockTerms { ttl: TTL, low_stock_threshold: 10, window: WINDOW });
        for &(product, received) in stock {
            shop.declare(&declaration(product, received)).unwrap();
        }
        shop.log.clear();
        shop
    }

    pub(crate) fn new(terms: StockTerms) -> Self {
        let mut ledger = Ledger::new(terms);
        ledger.open(at(0), &mut Vec::new());
        Self { ledger, now: 0, log: Vec::new(), open: Vec::new(), settles: true }
    }

    pub(crate) fn step<R>(
        &mut self,
        decide: impl FnOnce(&mut Ledger, Timestamp, &mut Vec<EmittedEvent>) -> R,
    ) -> R {
        let mut emitted = Vec::new();
        let answer = decide(&mut self.ledger, at(self.now), &mut emitted);
        for EmittedEvent { event, frees } in emitted {
            self.log.push((at(self.now), event));
            self.open.extend(frees);
        }
        if self.settles {
            self.settle();
        }
        assert!(self.ledger.verify(), "{:?}", self.ledger.violations());
        answer
    }

    pub(crate) fn settle(&mut self) {
        for credit in self.open.drain(..) {
            self.ledger.settle(credit);
        }
    }

    pub(crate) fn declare(&mut self, declaration: &Declaration) -> Result<ProductLevel, DeclareError> {
        self.step(|ledger, now, emitted| ledger.declare(declaration, now, emitted))
    }

    pub(crate) fn reserve(&mut self, number: u128, lines: &[(&str, u64)]) -> Outcome {
        let placed_at = at(self.now);
        self.reserve_placed(number, lines, placed_at)
    }

    pub(crate) fn reserve_placed(
        &mut self,
        number: u128,
        lines: &[(&str, u64)],
        placed_at: Timestamp,
    ) -> Outcome {
        let basket = basket(lines);
        let request = Request { order: order(number), basket: &basket, placed_at };
        self.step(|ledger, now, emitted| ledger.reserve(&request, now, emitted))
    }

    pub(crate) fn pay(&mut self, number: u128, amount: &str) -> Outcome {
        self.step(|ledger, now, emitted| ledger.pay(&processed(number, 0, amount), now, emitted))
    }

    pub(crate) fn fail(&mut self, number: u128, reason: Reason) -> Outcome {
        self.step(|ledger, now, emitted| ledger.fail(&failed(number, reason), now, now, emitted))
    }

    pub(crate) fn cancel(&mut self, number: u128) -> Outcome {
        self.step(|ledger, now, emitted| ledger.cancel(order(number), now, now, emitted))
    }

    pub(crate) fn expire(&mut self) {
        self.step(Ledger::expire);
    }

    /// Real, reserved and available of a product.
    pub(crate) fn level(&self, product: &str) -> (u64, u64, u64) {
        let level = self.ledger.level(&product.parse().unwrap()).unwrap().level;
        (level.real, level.reserved, level.available())
    }

    /// The names of what was told since the last call.
    pub(crate) fn emitted(&mut self) -> Vec<&'static str> {
        self.log.drain(..).map(|(_, event)| name(&event)).collect()
    }

    /// The only event that was told since the last call.
    pub(crate) fn only(&mut self) -> Event {
        assert_eq!(self.log.len(), 1, "{:?}", self.log);
        self.log.pop().unwrap().1
    }
}

pub(crate) fn name(event: &Event) -> &'static str {
    match event {
        Event::StockDeclared(_) => "declared",
        Event::LowStock(_) => "low",
        Event::VirtualStockReserved(_) => "reserved",
        Event::InsufficientStock(_) => "insufficient",
        Event::ProductNotFound(_) => "not-found",
        Event::ReservationRefused(_) => "refused",
        Event::ReservationConfirmed(_) => "confirmed",
        Event::ReservationReleased(_) => "released",
        Event::ReservationExpired(_) => "expired",
        Event::ReservationLost(_) => "lost",
        Event::OrderRepeated(_) => "repeated",
        other => panic!("not the ledger's: {other:?}"),
    }
}
