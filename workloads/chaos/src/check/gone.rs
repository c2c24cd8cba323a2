//! The orders that were forgotten, in eight bytes each: order ids are random, or hashes.

use std::collections::HashSet;

use super::Id;

/// How many are sorted in at a time.
const BATCH: usize = 1 << 20;

/// A set of orders that are over.
#[derive(Debug, Default)]
pub(super) struct Gone {
    sorted: Vec<u64>,
    newest: HashSet<u64>,
}

impl Gone {
    pub(super) fn insert(&mut self, id: Id) {
        self.newest.insert(print(id));
        if self.newest.len() >= BATCH {
            self.sorted.extend(self.newest.drain());
            self.sorted.sort_unstable();
        }
    }

    pub(super) fn contains(&self, id: Id) -> bool {
        let print = print(id);
        self.newest.contains(&print) || self.sorted.binary_search(&print).is_ok()
    }
}

/// Of 30 million orders two have the same print with a chance of one in 40,000.
const fn print(id: Id) -> u64 {
    id.0.as_u64_pair().1 ^ id.0.as_u64_pair().0
}
