//! The scenarios: the stock, the orders, and their expected ends.

use std::sync::Arc;

use kbnt_adapters::logging::Logging;
use kbnt_domain::Span;
use tokio::task::JoinSet;

use super::report::{OrderReport, Report};
use super::screen::Screen;
use super::shop::{Order, Shop};
use crate::failure::Failure;

/// A product as it is declared: id, name, price, units received.
pub(super) type Product = (&'static str, &'static str, &'static str, u64);

/// A buyer with an order and its expected end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buyer {
    pub(super) user: &'static str,
    pub(super) product: &'static str,
    pub(super) quantity: u32,
    pub(super) token: &'static str,
    /// Status, and reason if there is one.
    pub(super) end: (&'static str, Option<&'static str>),
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plot {
    /// The buyers order one after the other.
    OneByOne(&'static [Buyer]),
    /// This many buyers order at once, each one unit; `served` of them get it.
    AtOnce { buyers: usize, product: &'static str, served: usize },
    /// The first buyer reserves while payment-service is away until the reservation has expired; then the
    /// second buyer orders.
    Expiry { first: Buyer, second: Buyer },
}

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) stock: &'static [Product],
    /// Units of products that another order holds all the time.
    pub(super) held: &'static [(&'static str, u32)],
    pub(super) plot: Plot,
    /// Levels at the end: product, real, reserved.
    pub(super) levels: &'static [(&'static str, u64, u64)],
}

const PLENTY: &[Product] = &[
    ("PROD-001", "Smartphone X", "599.99", 100),
    ("PROD-002", "Laptop Pro", "1299.99", 50),
    ("PROD-003", "Tablet Mini", "399.99", 25),
];

const SCARCE: &[Product] = &[
    ("PROD-001", "Smartphone X", "599.99", 2),
    ("PROD-002", "Laptop Pro", "1299.99", 0),
    ("PROD-003", "Tablet Mini", "399.99", 1),
];

const CONFIRMED: (&str, Option<&str>) = ("CONFIRMED", None);
const INSUFFICIENT: (&str, Option<&str>) = ("REJECTED", Some("INSUFFICIENT_STOCK"));

const fn buyer(
    user: &'static str,
    quantity: u32,
    product: &'static str,
    token: &'static str,
    end: (&'static str, Option<&'static str>),
) -> Buyer {
    Buyer { user, product, quantity, token, end }
}

const FIRST: Buyer = buyer("USER-001", 1, "PROD-001", "tok_ok", CONFIRMED);
const GREEDY: Buyer = buyer("USER-002", 5, "PROD-001", "tok_ok", INSUFFICIENT);
const SOLD_OUT: Buyer = buyer("USER-003", 1, "PROD-002", "tok_ok", INSUFFICIENT);
const DECLINED: Buyer =
    buyer("USER-004", 1, "PROD-001", "tok_decline", ("CANCELLED", Some("PAYMENT_DECLINED")));
const LAST: Buyer = buyer("USER-005", 1, "PROD-001", "tok_ok", CONFIRMED);

/// All scenarios, in the order in which they are shown.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "success",
        title: "An order goes through",
        stock: PLENTY,
        held: &[],
        plot: Plot::OneByOne(&[buyer("USER-12345", 3, "PROD-001", "tok_ok", CONFIRMED)]),
        levels: &[("PROD-001", 97, 0), ("PROD-002", 50, 0), ("PROD-003", 25, 0)],
    },
    Scenario {
        name: "insufficient-stock",
        title: "Less is available than is asked for: refused at once, without any effect",
        stock: SCARCE,
        held: &[("PROD-003", 1)],
        plot: Plot::OneByOne(&[FIRST, GREEDY, SOLD_OUT]),
        levels: &[("PROD-001", 1, 0), ("PROD-002", 0, 0), ("PROD-003", 1, 1)],
    },
    Scenario {
        name: "payment-declined",
        title: "A payment is declined: the reservation is rolled back, and somebody else gets the last unit",
        stock: SCARCE,
        held: &[("PROD-003", 1)],
        plot: Plot::OneByOne(&[FIRST, GREEDY, SOLD_OUT, DECLINED, LAST]),
        levels: &[("PROD-001", 0, 0), ("PROD-002", 0, 0), ("PROD-003", 1, 1)],
    },
    Scenario {
        name: "unknown-product",
        title: "Nobody knows the product",
        stock: PLENTY,
        held: &[],
        plot: Plot::OneByOne(&[buyer(
            "USER-12345",
            1,
            "PROD-999",
            "tok_ok",
            ("REJECTED", Some("PRODUCT_NOT_FOUND")),
        )]),
        levels: &[("PROD-001", 100, 0), ("PROD-002", 50, 0), ("PROD-003", 25, 0)],
    },
    Scenario {
        name: "high-concurrency",
        title: "A thousand buyers at once want a hundred units: exactly a hundred get one",
        stock: PLENTY,
        held: &[],
        plot: Plot::AtOnce { buyers: 1000, product: "PROD-001", served: 100 },
        levels: &[("PROD-001", 0, 0), ("PROD-002", 50, 0), ("PROD-003", 25, 0)],
    },
    Scenario {
        name: "reservation-expiry",
        title: "Nobody pays for fifteen minutes: the units are available again, and somebody else gets them",
        stock: &[("PROD-003", "Tablet Mini", "399.99", 1)],
        held: &[],
        plot: Plot::Expiry {
            first: buyer("USER-001", 1, "PROD-003", "tok_ok", ("CANCELLED", Some("RESERVATION_EXPIRED"))),
            second: buyer("USER-002", 1, "PROD-003", "tok_ok", CONFIRMED),
        },
        levels: &[("PROD-003", 0, 0)],
    },
];

/// How long a reservation holds.
const TTL: Span = Span::from_minutes(15);

impl Scenario {
    /// Plays the scenario in a new shop.
    pub(super) async fn play(&self, logging: &Arc<Logging>, screen: &Screen) -> Result<Report, Failure> {
        let mut shop = Shop::open(self, logging, TTL).await?;
        let mut report = Report::new(self);
        screen.stock("before", &shop.levels().await?)?;
        match self.plot {
            Plot::OneByOne(buyers) => {
                for buyer in buyers {
                    let order = shop.order(buyer, true).await?;
                    shop.settle(&mut report).await?;
                    show(&shop, order, buyer, &mut report, screen).await?;
                }
            }
            Plot::AtOnce { buyers, product, served } => {
                at_once(&shop, buyers, product, served, &mut report).await?;
                shop.settle(&mut report).await?;
            }
            Plot::Expiry { first, second } => expiry(&mut shop, &first, &second, &mut report, screen).await?,
        }
        let levels = shop.levels().await?;
        screen.stock("after", &levels)?;
        report.check_levels(self.levels, &levels);
        shop.check_books(&mut report).await?;
        report.stock = levels;
        report.messages = shop.messages().await?;
        shop.close().await;
        Ok(report)
    }
}

/// Shows an order that has ended, and checks how it ended.
async fn show(
    shop: &Shop,
    order: Order,
    buyer: &Buyer,
    report: &mut Report,
    screen: &Screen,
) -> Result<(), Failure> {
    let order = OrderReport::new(&shop.look(&order.id).await?, buyer);
    screen.order(&order)?;
    report.take_order(order);
    Ok(())
}

async fn at_once(
    shop: &Shop,
    buyers: usize,
    product: &'static str,
    served: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut waiting = JoinSet::new();
    for number in 0..buyers {
        let request = shop.request(&format!("BUYER-{number:04}"), product, 1, "tok_ok", true);
        waiting.spawn(request);
    }
    while let Some(order) = waiting.join_next().await {
        report.count_end(order??.end());
    }
    report.check("buyers who got a unit", served, report.ends_with(CONFIRMED));
    report.check("buyers who were refused", buyers - served, report.ends_with(INSUFFICIENT));
    Ok(())
}

async fn expiry(
    shop: &mut Shop,
    first: &Buyer,
    second: &Buyer,
    report: &mut Report,
    screen: &Screen,
) -> Result<(), Failure> {
    screen.remark("payment-service is away")?;
    let late = shop.order(first, false).await?;
    shop.until_happened(&late.id, "VirtualStockReservedEvent", report).await?;
    screen.stock("reserved", &shop.levels().await?)?;
    screen.remark("fifteen minutes pass")?;
    shop.clock.forward(TTL);
    shop.until_happened(&late.id, "ReservationExpiredEvent", report).await?;
    screen.stock("expired", &shop.levels().await?)?;
    screen.remark("payment-service is back: it charges nothing for a reservation that has expired")?;
    shop.start_payment();
    shop.until_happened(&late.id, "NotificationSentEvent", report).await?;
    shop.settle(report).await?;
    show(shop, late, first, report, screen).await?;
    let order = shop.order(second, true).await?;
    shop.settle(report).await?;
    show(shop, order, second, report, screen).await
}
