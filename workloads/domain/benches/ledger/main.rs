//! The stock ledger on one thread: reserve and confirm, with all semantics and the events as values, while a million
//! reservations are live and as many ended orders are remembered.
//!
//! `cargo bench -p kbnt-domain` prints the bytes that one more live reservation takes, pairs per second (as elements, of
//! this thread's own time), and each rate beside that of a bare hash map of orders, measured in turns with it: the
//! machine's speed and whatever else it does at the time are in both. Orders come in batches, as they are read off the log.
//!
//! In turn: payments arrive in the order of the reservations. That is the usual case, and the one to compare with a
//! promised rate: payment-service asks for each payment as soon as it reads the reservation, and payments take about the
//! same time. At random: a payment is for any of the live reservations. No shop is like that; it is the worst case for the
//! processor's caches. One product: all orders want the same one.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![allow(missing_docs, reason = "made by the macros of the benchmark")]
#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark looks at clocks")]
#![allow(unreachable_pub, reason = "a program of several files")]

mod bare;
mod memory;
mod random;
mod shop;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use bare::Bare;
use shop::Shop;

/// Live reservations at any time.
const LIVE: usize = 1_000_000;

/// Orders, and payments, that are read off the log at a time.
const BATCH: usize = 64;

/// How often the ledger and the bare hash map take turns, and for how many batches each: for so long that the system's
/// count of a thread's time, which may go on in steps of some milliseconds, is fine enough.
const TURNS: usize = 11;
const BATCHES_A_TURN: u32 = 8_000;

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

/// Prints the ledger's rate beside that of a bare hash map: of each the median, and the median of their ratios.
fn compare(name: &str, how: &str, mut shop: impl FnMut(), mut bare: impl FnMut()) {
    let pairs = f64::from(u32::try_from(BATCH).unwrap() * BATCHES_A_TURN);
    let rate = |batch: &mut dyn FnMut()| pairs / time(BATCHES_A_TURN.into(), batch).as_secs_f64();
    let turns = (0..TURNS).map(|_| (rate(&mut shop), rate(&mut bare)));
    let (ledgers, bares): (Vec<_>, Vec<_>) = turns.unzip();
    let ratios = ledgers.iter().zip(&bares).map(|(ledger, bare)| ledger / bare).collect();
    println!(
        "{name}, {how}: {:.2} million pairs a second, a bare hash map {:.2} million: {:.2} of it",
        median(ledgers) / 1e6,
        median(bares) / 1e6,
        median(ratios)
    );
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn reserve_and_confirm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reserve+confirm, 1,000,000 live");
    group
        .throughput(Throughput::Elements(BATCH as u64))
        .sample_size(20)
        .measurement_time(Duration::from_secs(10));
    for (name, products) in [("10,000 products", 10_000), ("one product", 1)] {
        let mut shop = Shop::open(products);
        let bytes = memory::taken_by(|| shop.fill());
        println!("{name}: {} bytes per live reservation", bytes / LIVE.cast_signed());
        // Until as many ended orders are remembered as there ever will be.
        for _ in 0..3 * LIVE / BATCH {
            shop.batch(false);
        }
        let mut bare = Bare::open(products);
        for (how, at_random) in [("in turn", false), ("at random", true)] {
            compare(name, how, || shop.batch(at_random), || bare.batch(at_random));
            group.bench_function(format!("{name}, {how}"), |bencher| {
                bencher.iter_custom(|batches| time(batches, || shop.batch(at_random)));
            });
        }
        assert!(shop.ledger.verify());
    }
    group.finish();
}

criterion_group!(benches, reserve_and_confirm);
criterion_main!(benches);
