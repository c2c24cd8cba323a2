//! Runs many seeds, on as many threads as are asked for.

use std::iter;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use clap::Parser;
use kbnt_simulation::{Failure, Report, screen};

/// Simulates the whole saga under a seeded scheduler. A failing seed is printed, and reproduces exactly.
#[derive(Debug, Parser)]
pub(crate) struct Options {
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

/// Runs the seeds, and shows how many passed and what they came to.
pub(crate) fn run(options: &Options) -> ExitCode {
    let (from, seeds) = options.seed.map_or((options.from, options.seeds), |seed| (seed, 1));
    let (started, next) = (Instant::now(), AtomicU64::new(from));
    let passed = Mutex::new((0, Report::default()));
    thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| work(options, &next, from + seeds, &passed));
        }
    });
    let elapsed = started.elapsed();
    let (passed, total) = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let per_minute = 60_000 * u128::from(passed) / elapsed.as_millis().max(1);
    let Report { steps, faults, records, orders, confirmed, recalled, .. } = total;
    let shown = screen::show(format_args!(
        "{passed} of {seeds} seeds passed in {:.1} s ({per_minute} a minute): {steps} steps, {faults} faults, \
         {records} records, {orders} orders, {confirmed} of them confirmed, {recalled} times one out of an archive",
        elapsed.as_secs_f64(),
    ));
    match shown {
        Ok(()) if passed == seeds => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(error) => screen::unshown(&error),
    }
}

/// Runs seeds before `end` as long as there are any. A failure that cannot be shown ends it, as will what is shown at last.
fn work(options: &Options, next: &AtomicU64, end: u64, passed: &Mutex<(u64, Report)>) {
    let seeds = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
    for seed in seeds.take_while(|seed| *seed < end) {
        match guarded(seed, options.trace) {
            Ok(report) => {
                let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
                passed.0 += 1;
                passed.1 += report;
            }
            Err(failure) => {
                let how = format_args!("reproduce it with: kbnt-simulate --seed {seed} --trace");
                if screen::show(format_args!("{failure}\n{how}")).is_err() || !options.keep_going {
                    next.store(end, Ordering::Relaxed);
                }
            }
        }
    }
}

/// A run whose panic counts as a failure.
fn guarded(seed: u64, trace: bool) -> Result<Report, Failure> {
    catch_unwind(|| kbnt_simulation::run(seed, trace))
        .unwrap_or_else(|_| Err(Failure { seed, step: 0, what: "it panicked".into() }))
}
