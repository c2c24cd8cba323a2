//! Clocks that differ, jump, are set by hours and put right.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kbnt_application::Machine as _;
use kbnt_application::clock::Watch;
use kbnt_application::driver::Stopwatch;
use kbnt_application::ports::Clock;
use kbnt_domain::Timestamp;

use crate::process::Process;
use crate::world::World;

/// What a clock that is wrong at a start is ahead, in milliseconds: less than the window, so that no command is too old for it.
pub(crate) const WRONG: i64 = 3 * 3_600_000;

/// What clocks are set by, in milliseconds.
const SET_BY: [i64; 4] = [25 * 3_600_000, 3 * 3_600_000, -3 * 3_600_000, -25 * 3_600_000];

/// By how much a clock may be set, in milliseconds: five minutes, as services have it by default.
const CLOCK_LIMIT: i64 = 5 * 60_000;

/// True time in milliseconds.
pub(crate) type Now = Arc<AtomicI64>;

/// The clock of one process.
pub(crate) struct ProcessClock {
    now: Now,
    /// What it is ahead of true time, in milliseconds.
    skew: AtomicI64,
    /// What somebody has set it ahead besides, far beyond what a clock may be off.
    set_by: AtomicI64,
    watch: Mutex<Watch>,
}

impl ProcessClock {
    pub(crate) fn new(now: Now, skew: i64) -> Self {
        let steady = now.load(Ordering::Relaxed);
        let watch = Mutex::new(Watch::new(steady + skew, steady, CLOCK_LIMIT));
        Self { now, skew: skew.into(), set_by: 0.into(), watch }
    }

    /// True time as a process measures it.
    pub(crate) fn stopwatch(&self) -> Stopwatch {
        let now = Arc::clone(&self.now);
        Arc::new(move || Duration::from_millis(now.load(Ordering::Relaxed).unsigned_abs()))
    }

    pub(crate) fn skew(&self) -> i64 {
        self.skew.load(Ordering::Relaxed)
    }

    pub(crate) fn set_by(&self) -> i64 {
        self.set_by.load(Ordering::Relaxed)
    }

    /// What it shows ahead of true time, whether that is believed or not.
    pub(crate) fn ahead(&self) -> i64 {
        self.skew() + self.set_by()
    }

    pub(crate) fn drift(&self, skew: i64) {
        self.skew.store(skew, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, by: i64) {
        self.set_by.store(by, Ordering::Relaxed);
    }

    fn look<T>(&self, look: impl FnOnce(&mut Watch, i64, i64) -> T) -> T {
        let steady = self.now.load(Ordering::Relaxed);
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut watch, steady + self.ahead(), steady)
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.look(Watch::now))
    }

    fn off_by(&self) -> Option<i64> {
        self.look(Watch::off_by)
    }

    fn log_says(&self, newest: Timestamp) {
        self.look(|watch, _, steady| watch.log_says(newest.as_millis(), steady));
    }
}

impl World {
    /// Time goes on, mostly by a little.
    pub(crate) fn pass_time(&mut self) {
        let most = match self.rng.below(100) {
            0..=79 => 60,
            80..=95 => 3_000,
            96..=98 => 40_000,
            _ => self.plan.ttl.as_millis(),
        };
        let by = i64::try_from(self.rng.below(most + 1)).unwrap_or(0);
        self.now.fetch_add(by, Ordering::Relaxed);
    }

    /// What the clock of some process is ahead.
    pub(crate) fn skew(&mut self) -> i64 {
        let most = self.plan.skew;
        if most == 0 {
            0
        } else {
            i64::try_from(self.rng.below(2 * most.unsigned_abs() + 1)).unwrap_or(0) - most
        }
    }

    /// Clocks that were wrong from the start are put right.
    pub(crate) fn put_clocks_right(&mut self) -> Result<(), String> {
        for id in 0..self.processes.len() {
            if self.processes[id].clock.skew() == WRONG {
                self.say(|| format!("the clock of {} is put right", self.processes[id].name()));
                let skew = self.skew();
                self.processes[id].clock.drift(skew);
            }
            // What a clock showed at first is believed where the log says nothing of the time, and what it was set to where the log has
            // ended just then: a person starts the process again.
            let Process { clock, driver, .. } = &self.processes[id];
            if clock.set_by() == 0 && driver.machine().decides_by_time() && clock.off_by().is_some() {
                self.kill(id)?;
            }
        }
        Ok(())
    }

    /// Somebody sets the clock of a process by hours, or puts it right again.
    pub(super) fn set_a_clock(&mut self) {
        let id = self.rng.index(self.processes.len());
        let by = *self.rng.pick(&SET_BY).unwrap_or(&0);
        let clock = &self.processes[id].clock;
        clock.set(if clock.set_by() == 0 { by } else { 0 });
        self.say(|| {
            let process = &self.processes[id];
            format!("the clock of {} is off by {}", process.name(), process.clock.set_by())
        });
    }
}
