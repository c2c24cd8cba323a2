//! The stock ledger on one thread: reserve and confirm, with all semantics and the events as values.
//!
//! `cargo bench -p kbnt-domain` prints pairs per second (as elements, of this thread's own time) and, before that, the bytes
//! that one more live reservation takes. Orders come in batches, as they are read off the log.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![allow(missing_docs, reason = "made by the macros of the benchmark")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kbnt_domain::event::{Basket, Event, Line, PaymentMethod, PaymentProcessed};
use kbnt_domain::stock::{Declaration, Ledger, Outcome, Request, StockTerms, Told};
use kbnt_domain::{
    Currency, Money, OrderId, ProductId, Quantity, ReservationId, Span, Timestamp, TransactionId, UserId,
};
use uuid::Uuid;

/// Counts the bytes that are allocated and not freed.
struct Counting;

static ALLOCATED: AtomicIsize = AtomicIsize::new(0);

/// Counting takes time, so it is done only while memory is measured.
static COUNTS: AtomicBool = AtomicBool::new(false);

fn count(bytes: usize, sign: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATED.fetch_add(sign * bytes.cast_signed(), Ordering::Relaxed);
    }
}

#[allow(unsafe_code, reason = "an allocator is unsafe by its nature; this one only counts")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Live reservations at any time.
const LIVE: usize = 1_000_000;

/// Orders, and payments, that are read off the log at a time.
const BATCH: usize = 64;

/// Different customers.
const USERS: usize = 100_000;

/// How the log's time goes on per order: with it about a million ended orders are remembered, too.
const PACE: u64 = 4;

/// Random numbers, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(((self.next() >> 32) * most as u64) >> 32).unwrap()
    }

    fn order(&mut self) -> OrderId {
        OrderId::from_uuid(uuid::Builder::from_sha1_bytes(self.next_bytes()).into_uuid())
    }

    fn next_bytes(&mut self) -> [u8; 16] {
        Uuid::from_u64_pair(self.next(), self.next()).into_bytes()
    }
}

/// A shop at work.
struct Shop {
    ledger: Ledger,
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
    told: Vec<Told>,
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
    fn open(products: usize) -> Self {
        let terms = StockTerms {
            ttl: Span::from_minutes(1_000_000),
            low_stock_threshold: 10,
            window: Span::from_millis(400_000),
        };
        let mut ledger = Ledger::new(terms);
        let (mut told, mut random) = (Vec::new(), Random(7));
        ledger.open(Timestamp::from_millis(0), &mut told);
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
            ledger.declare(&declaration, Timestamp::from_millis(0), &mut told).unwrap();
        }
        for credit in told.drain(..).filter_map(|told| told.frees) {
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
            told,
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
        let outcome = self.ledger.reserve(&request, now, &mut self.told);
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
        let outcome = self.ledger.pay(&payment, now, &mut self.told);
        debug_assert_eq!(outcome, Outcome::Decided);
        self.hand_on();
    }

    /// The events go on to the log.
    fn hand_on(&mut self) {
        for told in self.told.drain(..) {
            debug_assert!(matches!(
                told.event,
                Event::VirtualStockReserved(_) | Event::ReservationConfirmed(_)
            ));
            black_box(&told);
        }
    }

    fn fill(&mut self) {
        while self.live.len() < LIVE {
            let (order, number) = (self.random.order(), self.orders % BATCH);
            self.fill_in(number);
            let order = self.reserve(order, number);
            self.live.push(order);
        }
    }

    /// A batch of new orders, and as many payments of live ones: of those that have waited longest, or of any.
    fn batch(&mut self, at_random: bool) {
        let news: [OrderId; BATCH] = std::array::from_fn(|_| self.random.order());
        (0..BATCH).for_each(|number| self.fill_in(number));
        let next = |i| if at_random { self.random.below(LIVE) } else { (self.oldest + i) % LIVE };
        let paid: [usize; BATCH] = std::array::from_fn(next);
        self.ledger.foresee(news.into_iter().chain(paid.iter().map(|&which| self.live[which].0)));
        for (number, (order, which)) in news.into_iter().zip(paid).enumerate() {
            let new = self.reserve(order, number);
            let old = std::mem::replace(&mut self.live[which], new);
            self.confirm(old);
        }
        self.oldest = (self.oldest + BATCH) % LIVE;
    }
}

/// How long the batches take of this thread's own time: the processor may be shared.
fn time(batches: u64, mut batch: impl FnMut()) -> Duration {
    let (started, busy) = (Instant::now(), processor_time());
    for _ in 0..batches {
        batch();
    }
    match (busy, processor_time()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => started.elapsed(),
    }
}

/// Time that this thread has run, as Linux counts it.
fn processor_time() -> Option<Duration> {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    counted.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn reserve_and_confirm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reserve+confirm, 1,000,000 live");
    group
        .throughput(Throughput::Elements(BATCH as u64))
        .sample_size(20)
        .measurement_time(Duration::from_secs(10));
    for (name, products) in [("10,000 products", 10_000), ("one product", 1)] {
        let mut shop = Shop::open(products);
        COUNTS.store(true, Ordering::Relaxed);
        let before = ALLOCATED.load(Ordering::Relaxed);
        shop.fill();
        let bytes = ALLOCATED.load(Ordering::Relaxed) - before;
        COUNTS.store(false, Ordering::Relaxed);
        println!("{name}: {} bytes per live reservation", bytes / LIVE.cast_signed());
        // Until as many ended orders are remembered as there ever will be.
        for _ in 0..3 * LIVE / BATCH {
            shop.batch(false);
        }
        group.bench_function(format!("{name}, in turn"), |bencher| {
            bencher.iter_custom(|batches| time(batches, || shop.batch(false)));
        });
        group.bench_function(format!("{name}, at random"), |bencher| {
            bencher.iter_custom(|batches| time(batches, || shop.batch(true)));
        });
        assert!(shop.ledger.verify());
    }
    group.finish();
}

criterion_group!(benches, reserve_and_confirm);
criterion_main!(benches);
