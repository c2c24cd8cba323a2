//! A fixed set of seeds, in every test run.

use std::sync::atomic::{AtomicU64, Ordering};

use kbnt_simulation::run;

#[test]
fn the_first_seeds_hold_every_promise() {
    const SEEDS: u64 = 4_000;
    let next = AtomicU64::new(0);
    let failures: Vec<_> = std::thread::scope(|scope| {
        let work = || {
            let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            seeds
                .take_while(|seed| *seed < SEEDS)
                .filter_map(|seed| run(seed, false).err())
                .collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_seed_is_one_run() {
    for seed in 0..50 {
        assert_eq!(run(seed, false), run(seed, false));
    }
}

#[test]
fn seeds_differ_and_reach_every_kind_of_end() {
    let reports: Vec<_> = (0..100).map(|seed| run(seed, false).unwrap()).collect();
    let digests: std::collections::BTreeSet<_> = reports.iter().map(|report| report.digest).collect();
    assert_eq!(digests.len(), reports.len());
    assert!(reports.iter().any(|report| report.confirmed > 3));
    assert!(reports.iter().any(|report| report.confirmed == 0 && report.orders > 0));
    assert!(
        reports.iter().any(|report| report.faults > 20) && reports.iter().any(|report| report.faults == 0)
    );
}
