//! Many seeds, on as many threads as are asked for.

use std::io;
use std::panic::{catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Runs the seeds, and shows what they came to.
pub(crate) fn run(options: &Options) -> ExitCode {
    let (from, seeds) = options.seed.map_or((options.from, options.seeds), |seed| (seed, 1));
    let (started, next) = (Instant::now(), AtomicU64::new(from));
    let worker = || work(options, &next, from + seeds);
    let totals: io::Result<Vec<(u64, Report)>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let shown = totals.and_then(|totals| {
        let (mut passed, mut total) = (0, Report::default());
        for (of_worker, report) in totals {
            passed += of_worker;
            total += report;
        }
        let elapsed = started.elapsed();
        let per_minute = 60_000 * u128::from(passed) / elapsed.as_millis().max(1);
        let Report { steps, faults, records, orders, confirmed, recalled, .. } = total;
        screen::show(format_args!(
            "{passed} of {seeds} seeds passed in {:.1} s ({per_minute} a minute): {steps} steps, {faults} faults, \
             {records} records, {orders} orders, {confirmed} of them confirmed, {recalled} times one out of an archive",
            elapsed.as_secs_f64(),
        ))?;
        Ok(passed == seeds)
    });
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => screen::unshown(&error),
    }
}

/// Runs seeds before `end` as long as there are any; how many passed, and what they came to.
fn work(options: &Options, next: &AtomicU64, end: u64) -> io::Result<(u64, Report)> {
    let (mut passed, mut total) = (0, Report::default());
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return Ok((passed, total));
        }
        match guarded(seed, options.trace) {
            Ok(report) => {
                passed += 1;
                total += report;
            }
            Err(failure) => {
                let shown = screen::show(format_args!(
                    "{failure}\nreproduce it with: kbnt-simulate --seed {seed} --trace"
                ));
                if shown.is_err() || !options.keep_going {
                    next.store(end, Ordering::Relaxed);
                }
                shown?;
            }
        }
    }
}

/// A run whose panic counts as a failure.
fn guarded(seed: u64, trace: bool) -> Result<Report, Failure> {
    catch_unwind(|| kbnt_simulation::run(seed, trace))
        .unwrap_or_else(|_| Err(Failure { seed, step: 0, what: "it panicked".into() }))
}
