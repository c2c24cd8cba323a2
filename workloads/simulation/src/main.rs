//! `kbnt-simulate`: runs the saga under many seeds.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use kbnt_simulation::{Failure, Report, run, screen};

/// Messages, texts and lists come and go with every step of a simulated process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Simulates the whole saga under a seeded scheduler. A failing seed is printed, and reproduces exactly.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads.
    #[arg(long, default_value_t = 1)]
    jobs: u64,
    /// Runs this seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Prints every step.
    #[arg(long)]
    trace: bool,
    /// Goes on after a failure, and lists all failing seeds.
    #[arg(long)]
    keep_going: bool,
}

/// A run whose panic counts as a failure.
fn guarded(seed: u64, trace: bool) -> Result<Report, Failure> {
    std::panic::catch_unwind(|| run(seed, trace))
        .unwrap_or_else(|_| Err(Failure { seed, step: 0, what: "it panicked".into() }))
}

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) => return screen::explain(&error),
    };
    let (from, seeds) = options.seed.map_or((options.from, options.seeds), |seed| (seed, 1));
    let started = Instant::now();
    let next = AtomicU64::new(from);
    let failed = AtomicBool::new(false);
    let total = Mutex::new((Report::default(), 0_u64));
    // Why a failure could not be shown; nothing more is tried then.
    let unshown: Mutex<Option<io::Error>> = Mutex::new(None);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= from + seeds || (failed.load(Ordering::Relaxed) && !options.keep_going) {
            return;
        }
        match guarded(seed, options.trace) {
            Ok(report) => {
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                total.0 += report;
                total.1 += 1;
            }
            Err(failure) => {
                failed.store(true, Ordering::Relaxed);
                let shown = screen::show(format_args!(
                    "{failure}\nreproduce it with: kbnt-simulate --seed {seed} --trace"
                ));
                if let Err(error) = shown {
                    next.store(from + seeds, Ordering::Relaxed);
                    unshown.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let (report, passed) = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let elapsed = started.elapsed();
    let per_minute = 60_000 * u128::from(passed) / elapsed.as_millis().max(1);
    let unshown = unshown.into_inner().unwrap_or_else(PoisonError::into_inner);
    let shown = unshown.map_or(Ok(()), Err).and_then(|()| screen::show(format_args!(
        "{passed} of {seeds} seeds passed in {:.1} s ({per_minute} a minute): {} steps, {} faults, {} records, {} \
         orders, {} of them confirmed",
        elapsed.as_secs_f64(),
        report.steps,
        report.faults,
        report.records,
        report.orders,
        report.confirmed,
    )));
    if let Err(error) = shown {
        return screen::unshown(&error);
    }
    if failed.into_inner() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
