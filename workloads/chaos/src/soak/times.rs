//! How long orders take: from when they were due until their end stands in the log.

use std::collections::HashMap;

use crate::check::Id;

/// After how many milliseconds nobody waits for the other half any more.
const FORGOTTEN: i64 = 600_000;

/// Orders of which one moment is known, and times in milliseconds since they were last asked for.
#[derive(Debug, Default)]
pub(super) struct Times {
    due: HashMap<Id, i64>,
    ended: HashMap<Id, i64>,
    took: Vec<i64>,
}

/// Half of the times are not longer than the first one, 99 of 100 not longer than the second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantiles {
    pub(super) p50: i64,
    pub(super) p99: i64,
}

impl Times {
    /// An order was due.
    pub(super) fn due(&mut self, order: Id, at: i64) {
        match self.ended.remove(&order) {
            Some(ended) => self.took.push(ended - at),
            None => drop(self.due.insert(order, at)),
        }
    }

    /// An order has ended. What stands there again is forgotten after a while.
    pub(super) fn ended(&mut self, order: Id, at: i64) {
        match self.due.remove(&order) {
            Some(due) => self.took.push(at - due),
            None => drop(self.ended.entry(order).or_insert(at)),
        }
    }

    /// The times since this was last asked, if there were any.
    pub(super) fn take(&mut self) -> Option<Quantiles> {
        let mut took = std::mem::take(&mut self.took);
        took.sort_unstable();
        let at =
            |hundredths: usize| took.get((took.len() * hundredths).div_ceil(100).saturating_sub(1)).copied();
        Some(Quantiles { p50: at(50)?, p99: at(99)? })
    }

    /// Forgets halves whose other half does not come.
    pub(super) fn forget(&mut self, now: i64) {
        self.due.retain(|_, at| now - *at < FORGOTTEN);
        self.ended.retain(|_, at| now - *at < FORGOTTEN);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_order_takes_from_when_it_was_due_until_its_first_end_whichever_is_known_first() {
        let order = |number| Id(Uuid::from_u128(number));
        let mut times = Times::default();
        assert_eq!(times.take(), None);
        for number in 1..=100 {
            let took = i64::try_from(number).unwrap();
            if number % 2 == 0 {
                times.due(order(number), 1_000);
                times.ended(order(number), 1_000 + took);
            } else {
                times.ended(order(number), 1_000 + took);
                times.ended(order(number), 5_000);
                times.due(order(number), 1_000);
            }
        }
        assert_eq!(times.take(), Some(Quantiles { p50: 50, p99: 99 }));
        assert_eq!(times.take(), None, "they were asked for");
        times.ended(order(2), 2_000);
        times.forget(2_000 + FORGOTTEN);
        assert!(times.ended.is_empty(), "nobody was waiting for it");
    }
}
