//! Bounded memory of what was decided.

use std::collections::{HashMap, VecDeque};

use kbnt_domain::{OrderId, Span, Timestamp};

/// How much is remembered of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Decisions that are older than the newest one by more are forgotten.
    pub window: Span,
    /// More decisions than these are not remembered; the oldest are forgotten first.
    pub most: usize,
}

/// Records that an order leaves in the output topic of a service, and more: a command, its end, and some that say either again.
const RECORDS: u64 = 4;

impl Limits {
    /// How many of the newest records of a partition hold the decisions that are remembered. Where customers repeat their commands
    /// so often that these hold fewer, a service that starts remembers fewer.
    pub const fn looks_back(self) -> u64 {
        (self.most as u64).saturating_mul(RECORDS)
    }

    /// The same, however old the decisions are.
    #[must_use]
    pub const fn by_number(self) -> Self {
        Self { window: Span::from_millis(u64::MAX), ..self }
    }
}

impl Default for Limits {
    /// 24 hours, 300,000 orders.
    fn default() -> Self {
        Self { window: Span::from_minutes(24 * 60), most: 300_000 }
    }
}

/// What was decided for an order, as long as it may matter. Time is that of the log: it advances with the decisions,
/// so that whoever folds the same log remembers the same.
#[derive(Clone, Debug)]
pub struct Memory<V> {
    limits: Limits,
    decided: HashMap<OrderId, V>,
    ages: VecDeque<(Timestamp, OrderId)>,
    newest: Timestamp,
    forgotten: bool,
}

impl<V> Memory<V> {
    /// Nothing remembered yet.
    pub fn new(limits: Limits) -> Self {
        let (decided, ages) = (HashMap::new(), VecDeque::new());
        Self { limits, decided, ages, newest: Timestamp::MIN, forgotten: false }
    }

    /// Remembers the decision that was taken for `order` at `at`; a later one replaces it, at the first one's age.
    pub fn insert(&mut self, order: OrderId, at: Timestamp, decision: V) {
        if self.decided.insert(order, decision).is_none() {
            self.ages.push_back((at, order));
        }
        self.newest = self.newest.max(at);
        while self.ages.len() > self.limits.most
            || self.ages.front().is_some_and(|(at, _)| self.newest.since(*at) > self.limits.window)
        {
            let Some((_, forgotten)) = self.ages.pop_front() else { break };
            self.decided.remove(&forgotten);
            self.forgotten = true;
        }
    }

    /// What was decided before anything that will be remembered is forgotten.
    pub const fn forget_before(&mut self) {
        self.forgotten = true;
    }

    /// The clock was wrong and has been put back to `now`: nothing was decided after that.
    pub fn put_back(&mut self, now: Timestamp) {
        self.newest = self.newest.min(now);
        for (at, _) in &mut self.ages {
            *at = (*at).min(now);
        }
    }

    /// The decision, if it is remembered.
    pub fn get(&self, order: &OrderId) -> Option<&V> {
        self.decided.get(order)
    }

    /// Whether anything was forgotten.
    pub const fn has_forgotten(&self) -> bool {
        self.forgotten
    }

    /// At most `most` of the decisions, spread evenly from the oldest to the newest.
    pub fn sample(&self, most: usize) -> impl Iterator<Item = &V> {
        let step = self.ages.len().div_ceil(most.max(1)).max(1);
        self.ages.iter().step_by(step).filter_map(|(_, order)| self.decided.get(order))
    }

    /// Whether a decision is remembered.
    pub fn contains(&self, order: &OrderId) -> bool {
        self.decided.contains_key(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(n: u128) -> OrderId {
        OrderId::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let mut memory = Memory::new(Limits { window: Span::from_secs(10), most: 3 });
        memory.insert(order(1), at(0), 'a');
        memory.insert(order(2), at(10), 'b');
        assert_eq!(memory.get(&order(1)), Some(&'a'), "as old as the window");
        memory.insert(order(3), at(11), 'c');
        assert!(!memory.contains(&order(1)), "older than the window");
        memory.insert(order(2), at(11), 'B');
        assert_eq!(memory.get(&order(2)), Some(&'B'), "replaced");
        memory.insert(order(4), at(11), 'd');
        memory.insert(order(5), at(11), 'e');
        assert!(!memory.contains(&order(2)), "one too many");
        assert!(memory.contains(&order(3)) && memory.contains(&order(5)));
    }

    #[test]
    fn whoever_looks_back_remembers_what_is_remembered_by_all() {
        let limits = Limits { window: Span::from_secs(10_000), most: 5 };
        // Each order has so many records, of which the first ones tell nothing.
        let records: Vec<_> =
            (0..50).flat_map(|n| std::iter::repeat_n(n, usize::try_from(n % 4 + 1).unwrap_or(1))).collect();
        for end in 0..records.len() {
            let remembered = |from: usize| {
                let mut memory = Memory::new(limits);
                for (n, next) in
                    records[from..end].iter().zip(records[from + 1..].iter().map(Some).chain([None]))
                {
                    if next != Some(n) {
                        memory.insert(order(*n), at(i64::try_from(*n).unwrap_or_default() * 20), *n);
                    }
                }
                (0..50).filter(|n| memory.contains(&order(*n))).collect::<Vec<_>>()
            };
            let looks_back = usize::try_from(limits.looks_back()).unwrap_or(usize::MAX);
            assert_eq!(remembered(end.saturating_sub(looks_back)), remembered(0), "of {end} records");
        }
    }

    #[test]
    fn a_clock_that_was_put_back_makes_nothing_old() {
        let mut memory = Memory::new(Limits { window: Span::from_secs(10), most: 9 });
        memory.insert(order(1), at(90_000), ());
        memory.put_back(at(5));
        memory.insert(order(2), at(5), ());
        assert!(memory.contains(&order(1)) && memory.contains(&order(2)));
        memory.insert(order(3), at(16), ());
        assert!(!memory.contains(&order(1)) && !memory.contains(&order(2)), "older than the window");
    }
}
