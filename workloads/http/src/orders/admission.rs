//! How many orders may be on their way to an answer of the inventory, so that none waits much longer than usual.
//!
//! An order waits for its payment as long as the gateway takes. How long it takes until the inventory has answered depends on this system
//! alone: more than usual means that more comes in than is carried. By Little's law as many may be on their way then as are
//! answered in the time that one may take.

use std::time::Duration;

/// How long answers are gathered before they are looked at together.
const WINDOW: Duration = Duration::from_millis(100);

/// The fewest answers that say something.
const ANSWERS: usize = 20;

/// Answers that are looked at, of those in a window.
const ANSWERS_MOST: usize = 1_024;

/// No order is too slow that takes no longer than this.
const FAST: Duration = Duration::from_millis(250);

/// An order is slow that takes so many times as long as usual.
const SLOW: u32 = 2;

/// So many orders may be on their way in any case.
const LEAST: u64 = 200;

/// Without an answer for so long nothing is carried, which is no overload: what waited through it says nothing.
const OUTAGE: Duration = Duration::from_secs(1);

/// How many orders may be on their way. Times are counted from any beginning.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    most: u64,
    limit: u64,
    /// How long an order takes to its answer; `None` before there was any.
    usual: Option<Duration>,
    /// Answers a second, of late.
    rate: f64,
    window: Window,
    last_answer: Duration,
    /// Orders from before say nothing.
    counts_from: Duration,
    was_slow: bool,
}

/// Answers that are gathered.
#[derive(Clone, Debug, Default)]
struct Window {
    began: Duration,
    answers: usize,
    took: Vec<Duration>,
}

impl Admission {
    /// At most so many, ever.
    pub(super) const fn new(most: u64) -> Self {
        Self {
            most,
            limit: most,
            usual: None,
            rate: 0.0,
            window: Window { began: Duration::ZERO, answers: 0, took: Vec::new() },
            last_answer: Duration::ZERO,
            counts_from: Duration::ZERO,
            was_slow: false,
        }
    }

    /// How many may be on their way now.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// An order that was taken at `began` is answered now.
    pub(super) fn answered(&mut self, began: Duration, now: Duration) {
        if now.saturating_sub(self.last_answer) > OUTAGE {
            self.counts_from = now;
        }
        self.last_answer = now;
        if self.window.answers == 0 {
            self.window.began = now;
        }
        self.window.answers += 1;
        if began >= self.counts_from && self.window.took.len() < ANSWERS_MOST {
            self.window.took.push(now.saturating_sub(began));
        }
        let gathered = now.saturating_sub(self.window.began);
        if gathered >= WINDOW && self.window.answers >= ANSWERS {
            self.look(gathered);
        }
    }

    /// Looks at what was gathered in this time.
    fn look(&mut self, gathered: Duration) {
        let Window { answers, mut took, .. } = std::mem::take(&mut self.window);
        let rate = f64::from(u32::try_from(answers).unwrap_or(u32::MAX)) / gathered.as_secs_f64();
        self.rate = if self.rate == 0.0 { rate } else { (3.0 * self.rate + rate) / 4.0 };
        if took.is_empty() {
            return;
        }
        let middle = took.len() / 2;
        let median = *took.select_nth_unstable(middle).1;
        let usual = self.usual.unwrap_or(median);
        let slow = (usual * SLOW).max(FAST);
        let is_slow = median > slow;
        self.usual = Some(if median < usual {
            towards(usual, median, 8)
        } else if is_slow && self.limit > LEAST.min(self.most) {
            usual
        } else if is_slow {
            // With so few on their way it is not they who make it slow: this is how long it takes now.
            towards(usual, median, 4)
        } else if self.limit == self.most {
            towards(usual, median, 64)
        } else {
            usual
        });
        if is_slow && self.was_slow {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let carried = (self.rate * slow.as_secs_f64()) as u64;
            self.limit = carried.max(LEAST).min(self.limit).min(self.most);
        } else if !is_slow {
            self.limit = (self.limit + self.limit / 8 + 1).min(self.most);
        }
        self.was_slow = is_slow;
    }
}

/// One part in so many of the way from one time to another.
fn towards(from: Duration, to: Duration, parts: u32) -> Duration {
    (from * (parts - 1) + to) / parts
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    /// Services that answer so many orders a second, each after this time at the earliest.
    struct Services {
        rate: f64,
        least: Duration,
        /// When each was taken, and how much of its work is done.
        queue: VecDeque<Duration>,
        /// Orders that are through the bottleneck, and when they are answered.
        through: VecDeque<(Duration, Duration)>,
        work: f64,
        now: Duration,
    }

    /// What came of the orders of some time.
    #[derive(Debug, Default)]
    struct Outcome {
        taken: u32,
        refused: u32,
        took: Vec<Duration>,
    }

    impl Services {
        fn new(rate: f64, least: Duration) -> Self {
            let (queue, through) = (VecDeque::new(), VecDeque::new());
            Self { rate, least, queue, through, work: 0.0, now: Duration::from_secs(10) }
        }

        /// Orders come at this rate for so long.
        fn run(&mut self, admission: &mut Admission, offered: f64, seconds: u64) -> Outcome {
            let (mut outcome, mut due, until) =
                (Outcome::default(), 0.0, self.now + Duration::from_secs(seconds));
            while self.now < until {
                self.now += TICK;
                due += offered * TICK.as_secs_f64();
                while due >= 1.0 {
                    due -= 1.0;
                    if ((self.queue.len() + self.through.len()) as u64) < admission.limit() {
                        outcome.taken += 1;
                        self.queue.push_back(self.now);
                    } else {
                        outcome.refused += 1;
                    }
                }
                self.work = (self.work + self.rate * TICK.as_secs_f64())
                    .min(f64::from(u32::try_from(self.queue.len()).unwrap()) + 1.0);
                while self.work >= 1.0
                    && let Some(began) = self.queue.pop_front()
                {
                    self.work -= 1.0;
                    self.through.push_back((began, self.now + self.least));
                }
                while let Some((began, _)) = self.through.pop_front_if(|(_, at)| *at <= self.now) {
                    outcome.took.push(self.now.saturating_sub(began));
                    admission.answered(began, self.now);
                }
            }
            outcome.took.sort_unstable();
            outcome
        }
    }

    fn p99(outcome: &Outcome) -> Duration {
        outcome.took[outcome.took.len() * 99 / 100]
    }

    #[test]
    fn nothing_is_refused_that_is_carried() {
        let mut admission = Admission::new(10_000);
        let mut services = Services::new(2_000.0, Duration::from_millis(120));
        let outcome = services.run(&mut admission, 1_900.0, 60);
        assert_eq!((outcome.refused, admission.limit()), (0, 10_000));
    }

    #[test]
    fn of_twice_as_many_as_are_carried_half_are_taken_and_none_waits_long() {
        let mut admission = Admission::new(10_000);
        let mut services = Services::new(2_000.0, Duration::from_millis(120));
        let usual = services.run(&mut admission, 1_200.0, 20);
        let too_many = services.run(&mut admission, 4_000.0, 120);
        assert!(too_many.taken > 2_000 * 114, "{} of 240000", too_many.taken);
        assert!(
            p99(&too_many) < Duration::from_millis(450),
            "{:?}, usually {:?}",
            p99(&too_many),
            p99(&usual)
        );
        services.run(&mut admission, 1_200.0, 3);
        let after = services.run(&mut admission, 1_200.0, 10);
        assert_eq!(after.refused, 0);
        assert!(p99(&after) <= p99(&usual) + TICK);
    }

    #[test]
    fn what_takes_longer_for_good_is_taken_after_a_while() {
        let mut admission = Admission::new(10_000);
        let mut services = Services::new(2_000.0, Duration::from_millis(100));
        services.run(&mut admission, 1_500.0, 20);
        services.least = Duration::from_millis(900);
        services.run(&mut admission, 1_500.0, 20);
        let later = services.run(&mut admission, 1_500.0, 20);
        assert_eq!(later.refused, 0, "{admission:?}");
    }

    #[test]
    fn an_outage_is_no_overload() {
        let mut admission = Admission::new(10_000);
        let mut services = Services::new(2_000.0, Duration::from_millis(100));
        services.run(&mut admission, 100.0, 20);
        services.rate = 0.0;
        let outage = services.run(&mut admission, 100.0, 10);
        services.rate = 2_000.0;
        let after = services.run(&mut admission, 100.0, 10);
        assert_eq!((outage.refused, after.refused), (0, 0), "{admission:?}");
    }

    #[test]
    fn few_orders_are_never_too_many() {
        let mut admission = Admission::new(10_000);
        let mut services = Services::new(50.0, Duration::from_millis(10));
        services.run(&mut admission, 40.0, 20);
        services.run(&mut admission, 500.0, 20);
        assert!((LEAST..LEAST * 3 / 2).contains(&admission.limit()), "{admission:?}");
        let mut small = Admission::new(10);
        Services::new(50.0, Duration::from_millis(10)).run(&mut small, 500.0, 20);
        assert_eq!(small.limit(), 10, "whoever wants fewer has fewer");
    }
}
