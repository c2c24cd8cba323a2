//! What a seed makes of a run: how much goes wrong, who orders what.

pub(crate) mod clients;
mod drain;
pub(crate) mod idle;
pub(crate) mod rng;
mod schedule;
mod services;

use kbnt_application::Service;
use kbnt_application::driver::Limits;
use kbnt_application::inventory::ArchiveLimits;
use kbnt_domain::event::{Basket, Line, PaymentMethod};
use kbnt_domain::{Currency, Money, OrderId, ProductId, Quantity, SourceId, Span, UserId};

use self::rng::Rng;

/// How often things go wrong, in thousandths of the steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crash: u64,
    /// A partition moves to another process.
    pub(crate) rebalance: u64,
    /// The one service that this happens to, if it is not any.
    pub(crate) focus: Option<Service>,
    /// Of these moves, those that the old owner does not hear of.
    pub(crate) zombie: u64,
    pub(crate) second_writer: u64,
    /// A clock is set.
    pub(crate) jump: u64,
    /// The gateway goes away or comes back.
    pub(crate) gateway: u64,
    /// Of the effects, those whose request or answer is lost or late.
    pub(crate) lossy: u64,
    /// Of the gateway's answers, those that make no sense.
    pub(crate) senseless: u64,
    /// Of the charges, those whose name cannot be used.
    pub(crate) unnamed: u64,
    /// A process is started while its clock is three hours ahead, or such a clock is put right.
    pub(crate) wrong_start: u64,
    /// The clock of a process is set by hours, or such a clock is put right.
    pub(crate) set_clock: u64,
    /// Of the appends, those that are tried again though they got in.
    pub(crate) retried_append: u64,
    /// An input is delivered again within a session.
    pub(crate) rewind: u64,
    /// Of the commits, those that are acknowledged and then lost.
    pub(crate) lost_commit: u64,
    /// Of the commits, those whose note is lost.
    pub(crate) lost_note: u64,
    /// Of what a driver asks for, what it is kept waiting for while other things happen.
    pub(crate) slow: u64,
    /// An append that is refused for good, after any part of it got in.
    pub(crate) refused_append: u64,
    /// A process is stopped, and hands over what it has.
    pub(crate) stop: u64,
    /// Of what was unacknowledged in a crash, what gets in later instead of at once or never.
    pub(crate) late: u64,
    /// Something gets into the log that nobody understands, or a person sees to it.
    pub(crate) poison: u64,
    /// A program that is none of the services writes into their topics, in the wrong place or with the wrong time.
    pub(crate) stray: u64,
    /// An archive of closed orders is damaged, full, unreadable or copied.
    pub(crate) trouble: u64,
    /// Of the starts of the inventory, those with an archive that is not as it was left.
    pub(crate) volume: u64,
    /// inventory-events is cut, as far as nobody needs it.
    pub(crate) cut: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) basket: Basket,
    /// Somebody else's idea of the same order.
    pub(crate) other: Basket,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) faults: Faults,
    pub(crate) ttl: Span,
    /// How far clocks are apart at most, in milliseconds; 0: they agree and never jump.
    pub(crate) skew: i64,
    pub(crate) steps: u64,
    pub(crate) decline_above: i64,
    pub(crate) products: Vec<ProductId>,
    pub(crate) sources: Vec<SourceId>,
    pub(crate) users: Vec<UserId>,
    pub(crate) orders: Vec<Order>,
    /// The first order of this day.
    pub(crate) today: usize,
    /// Units that the first receipt of each product has.
    pub(crate) stock: u64,
    pub(crate) low_stock_threshold: u64,
    /// How much a driver takes in.
    pub(crate) limits: Limits,
    /// No clock is wrong at a start. What a reservation of such a clock comes to depends on when it was put right, which a writer or
    /// a snapshot knows and the log does not.
    pub(crate) timely: bool,
    /// How often a writer takes a snapshot, if it does.
    pub(crate) snapshots: Option<Span>,
    /// How many closed orders the inventory keeps in memory, if it leaves the others to an archive.
    pub(crate) archive: Option<ArchiveLimits>,
    /// Whether there are checkpoints, so that the log may be cut.
    pub(crate) cuts: bool,
    /// Days that follow, some hours later each.
    pub(crate) days: u64,
    /// Whether writers stand by until it is their turn.
    pub(crate) led: bool,
}

/// The price of one unit, by the product's number.
pub(crate) fn price(product: usize) -> Money {
    let minor = 1_000 + 500 * i64::try_from(product).unwrap_or(0);
    Money::from_minor(minor, Currency::BRL).unwrap_or(Money::zero(Currency::BRL))
}

fn named<T: std::str::FromStr>(names: impl Iterator<Item = String>) -> Vec<T> {
    names.filter_map(|name| name.parse().ok()).collect()
}

impl Faults {
    fn draw(rng: &mut Rng) -> Self {
        // A run in eight is calm, and each fault is left out of every third run, so that none hides another.
        if rng.chance(125) {
            return Self::default();
        }
        let focus = rng.pick(&[Service::User, Service::Payment, Service::Order]).copied();
        let focus = focus.filter(|_| rng.chance(500));
        let mut rate = |most| if rng.chance(333) { 0 } else { rng.between(1, most) };
        let faults = Self {
            crash: rate(12),
            rebalance: rate(if focus.is_some() { 30 } else { 12 }),
            focus,
            zombie: rate(1_000),
            second_writer: rate(6),
            jump: rate(8),
            gateway: rate(15),
            lossy: rate(500),
            senseless: rate(700),
            unnamed: rate(300),
            wrong_start: rate(10),
            set_clock: rate(10),
            retried_append: rate(150),
            rewind: rate(20),
            lost_commit: rate(700),
            lost_note: rate(100),
            slow: rate(500),
            refused_append: rate(40),
            stop: rate(6),
            late: rate(500),
            poison: rate(20),
            stray: rate(20),
            trouble: rate(20),
            volume: rate(800),
            cut: rate(100),
        };
        // One clock that is wrong is taken for right by whoever is set to the same time.
        if faults.wrong_start > 0 { Self { set_clock: 0, ..faults } } else { faults }
    }
}

impl Plan {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let products = named((0..rng.between(1, 3)).map(|n| format!("PROD-{n}")));
        let users: Vec<UserId> = named((0..4).map(|n| format!("USER-{n}")));
        let faults = Faults::draw(rng);
        let skew = if faults.jump + faults.wrong_start == 0 {
            0
        } else {
            i64::try_from(rng.between(1, 20_000)).unwrap_or(0)
        };
        let mut plan = Self {
            ttl: Span::from_millis(*rng.pick(&[2_000, 20_000, 60_000, 900_000]).unwrap_or(&60_000)),
            skew,
            steps: rng.between(400, 1_600),
            decline_above: *rng.pick(&[2_500, 6_000, 1_000_000]).unwrap_or(&6_000),
            sources: named(["shop", "api"].into_iter().map(String::from)),
            stock: rng.between(0, 14),
            low_stock_threshold: rng.between(0, 6),
            orders: Vec::new(),
            today: 0,
            limits: Self::limits(rng),
            timely: faults.wrong_start == 0,
            snapshots: Self::snapshots(rng, &faults),
            archive: Self::archive(rng),
            cuts: false,
            days: 0,
            led: rng.chance(300),
            faults,
            products,
            users,
        };
        plan.cuts = plan.faults.cut > 0 && plan.snapshots.is_some();
        if plan.cuts {
            // Short as a run is, there must be checkpoints of all that there is to cut.
            plan.snapshots = Some(Span::default());
            plan.steps += 800;
        }
        if plan.archive.is_some() && rng.chance(250) {
            plan.days = rng.between(1, 3);
        }
        for _ in 0..rng.between(2, 14) {
            plan.add_order(rng);
        }
        plan
    }

    /// One more order.
    pub(crate) fn add_order(&mut self, rng: &mut Rng) {
        let (basket, other) = (self.basket(rng), self.basket(rng));
        let id = OrderId::derive(&basket.user, &format!("key-{}", self.orders.len()));
        self.orders.push(Order { id, basket, other });
    }

    /// In every other run, and so few in memory that it matters.
    fn archive(rng: &mut Rng) -> Option<ArchiveLimits> {
        let limits =
            ArchiveLimits { in_memory: rng.index(5), chunk: u32::try_from(rng.between(1, 3)).unwrap_or(1) };
        rng.chance(500).then_some(limits)
    }

    /// Mostly as it ships, and now and then so little that it matters.
    fn limits(rng: &mut Rng) -> Limits {
        let mut little =
            |most| if rng.chance(700) { None } else { usize::try_from(rng.between(1, most)).ok() };
        let as_shipped = Limits::default();
        Limits {
            in_hand: little(4).unwrap_or(as_shipped.in_hand),
            places: little(3).unwrap_or(as_shipped.places),
            records: little(3).unwrap_or(as_shipped.records),
            ..as_shipped
        }
    }

    fn snapshots(rng: &mut Rng, faults: &Faults) -> Option<Span> {
        let every = *rng.pick(&[0, 0, 100, 2_000, 20_000])?;
        (faults.wrong_start == 0 && rng.chance(700)).then_some(Span::from_millis(every))
    }

    fn basket(&self, rng: &mut Rng) -> Basket {
        let nobody = self.users.first().filter(|_| rng.chance(60)).and_then(|_| "NOBODY".parse().ok());
        let user = nobody.or_else(|| rng.pick(&self.users).cloned());
        let lines = (0..rng.between(1, 3)).filter_map(|_| {
            let product =
                if rng.chance(30) { "PROD-X".parse().ok()? } else { rng.pick(&self.products)?.clone() };
            Some(Line { product, quantity: Quantity::new(rng.between(1, 3)).ok()? })
        });
        let lines = lines.collect();
        let payment = PaymentMethod { method: "credit_card".into(), token: None };
        let Some(user) = user else { unreachable!("there are users") };
        Basket { user, lines, payment }
    }

    /// The users that the configuration of user-service declares.
    pub(crate) fn declared(&self) -> &[UserId] {
        self.users.get(..2).unwrap_or_default()
    }

    /// Every product's number by its id.
    pub(crate) fn product(&self, id: &ProductId) -> Option<usize> {
        self.products.iter().position(|product| product == id)
    }
}
