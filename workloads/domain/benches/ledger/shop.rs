//! A shop at work on the ledger, with all its rules.

use std::hint::black_box;

use kbnt_domain::event::{Basket, Event, Line, PaymentMethod, PaymentProcessed};
use kbnt_domain::stock::{Declaration, EmittedEvent, Ledger, Outcome, Request, StockTerms};
use kbnt_domain::{
    Currency, Money, OrderId, ProductId, Quantity, ReservationId, Span, Timestamp, TransactionId, UserId,
};

use crate::random::Random;
use crate::{BATCH, LIVE};

/// Different customers.
const USERS: usize = 100_000;

/// How the log's time goes on per order: with it about a million ended orders are remembered, too.
const PACE: u64 = 4;

/// A shop at work.
pub struct Shop {
    pub ledger: Ledger,
    random: Random,
    baskets: Vec<(Basket, Money)>,
    products: Vec<ProductId>,
    users: Vec<UserId>,
    transaction: TransactionId,
    /// So far.
    orders: usize,
    /// Live orders and their baskets.
    live: Vec<(OrderId, u32)>,
    /// The oldest of them.
    oldest: usize,
    now: u64,
    emitted: Vec<EmittedEvent>,
}

fn price() -> Money {
    Money::from_minor(1_000, Currency::BRL).unwrap()
}

fn basket(random: &mut Random, user: &UserId, product: &ProductId) -> (Basket, Money) {
    // Of ten orders eight have one line, one has two, one has three.
    let lines = [1, 1, 1, 1, 1, 1, 1, 1, 2, 3][random.below(10)];
    let mut line =
        |_| Line { product: product.clone(), quantity: Quantity::new(random.next() % 3 + 1).unwrap() };
    let lines: Vec<Line> = (0..lines).map(&mut line).collect();
    let units = lines.iter().map(|line| line.quantity.units()).sum();
    let payment = PaymentMethod { method: "credit_card".into(), token: None };
    (Basket { user: user.clone(), lines, payment }, price().times(units).unwrap())
}

impl Shop {
    pub fn open(products: usize) -> Self {
        let terms = StockTerms {
            ttl: Span::from_minutes(1_000_000),
            low_stock_threshold: 10,
            window: Span::from_millis(400_000),
        };
        let mut ledger = Ledger::new(terms);
        let (mut emitted, mut random) = (Vec::new(), Random(7));
        ledger.open(Timestamp::from_millis(0), &mut emitted);
        let ids = |kind: &str, count| (0..count).map(|id| format!("{kind}-{id:05}")).collect::<Vec<_>>();
        let products: Vec<ProductId> = ids("PROD", products).iter().map(|id| id.parse().unwrap()).collect();
        let users: Vec<UserId> = ids("USER", USERS).iter().map(|id| id.parse().unwrap()).collect();
        for product in &products {
            let declaration = Declaration {
                product: product.clone(),
                name: "A product".into(),
                unit_price: price(),
                received: 1_000_000_000_000,
                low_stock_threshold: None,
                source: "bench".parse().unwrap(),
            };
            ledger.declare(&declaration, Timestamp::from_millis(0), &mut emitted).unwrap();
        }
        for credit in emitted.drain(..).filter_map(|emitted| emitted.frees) {
            ledger.settle(credit);
        }
        let of = |_| basket(&mut random, &users[0], &products[0]);
        let baskets = (0..BATCH).map(of).collect();
        let transaction = "tx-1".parse().unwrap();
        let live = Vec::with_capacity(LIVE);
        Self {
            ledger,
            random,
            baskets,
            products,
            users,
            transaction,
            orders: 0,
            live,
            oldest: 0,
            now: 0,
            emitted,
        }
    }

    /// The customer and the products of a basket.
    fn fill_in(&mut self, number: usize) {
        let Self { baskets, users, products, random, orders, .. } = self;
        let basket = &mut baskets[number].0;
        basket.user = users[*orders % USERS].clone();
        for line in &mut basket.lines {
            line.product = products[random.below(products.len())].clone();
        }
        *orders += 1;
    }

    fn reserve(&mut self, order: OrderId, number: usize) -> (OrderId, u32) {
        self.now += PACE;
        let now = Timestamp::from_millis(self.now.cast_signed());
        let request = Request { order, basket: &self.baskets[number].0, placed_at: now };
        let outcome = self.ledger.reserve(&request, now, &mut self.emitted);
        debug_assert_eq!(outcome, Outcome::Decided);
        self.hand_on();
        (order, u32::try_from(number).unwrap())
    }

    fn confirm(&mut self, (order, number): (OrderId, u32)) {
        let payment = PaymentProcessed {
            order,
            reservation: ReservationId::derive(&order, 0),
            amount: self.baskets[number as usize].1,
            transaction: self.transaction.clone(),
        };
        let now = Timestamp::from_millis(self.now.cast_signed());
        let outcome = self.ledger.pay(&payment, now, &mut self.emitted);
        debug_assert_eq!(outcome, Outcome::Decided);
        self.hand_on();
    }

    /// The events go on to the log.
    fn hand_on(&mut self) {
        for emitted in self.emitted.drain(..) {
            debug_assert!(matches!(
                emitted.event,
                Event::VirtualStockReserved(_) | Event::ReservationConfirmed(_)
            ));
            black_box(&emitted);
        }
    }

    pub fn fill(&mut self) {
        while self.live.len() < LIVE {
            let (order, number) = (self.random.order(), self.orders % BATCH);
            self.fill_in(number);
            let order = self.reserve(order, number);
            self.live.push(order);
        }
    }

    /// A batch of new orders, and as many payments of live ones: of those that have waited longest, or of any.
    pub fn batch(&mut self, at_random: bool) {
        let news: [OrderId; BATCH] = std::array::from_fn(|_| self.random.order());
        (0..BATCH).for_each(|number| self.fill_in(number));
        let next = |i| if at_random { self.random.below(LIVE) } else { (self.oldest + i) % LIVE };
        let paid: [usize; BATCH] = std::array::from_fn(next);
        self.ledger.prefetch(news.into_iter().chain(paid.iter().map(|&which| self.live[which].0)));
        for (number, (order, which)) in news.into_iter().zip(paid).enumerate() {
            let new = self.reserve(order, number);
            let old = std::mem::replace(&mut self.live[which], new);
            self.confirm(old);
        }
        self.oldest = (self.oldest + BATCH) % LIVE;
    }
}
