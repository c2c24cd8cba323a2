//! What a shop without rules would be: a hash map of what orders hold, and counts by product. No deadline, no memory of
//! what has ended, no check, no event. It shows how fast the machine is at the moment.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use kbnt_domain::OrderId;

use crate::random::Random;
use crate::{BATCH, LIVE};

/// Such a shop.
pub struct Bare {
    /// Product and units.
    held: HashMap<OrderId, (u32, u64), RandomState>,
    /// Real and reserved.
    counts: Vec<(u64, u64)>,
    random: Random,
    live: Vec<OrderId>,
    oldest: usize,
}

impl Bare {
    pub fn open(products: usize) -> Self {
        let held = HashMap::with_capacity_and_hasher(LIVE, RandomState::default());
        let counts = vec![(1_000_000_000_000, 0); products];
        let mut bare = Self { held, counts, random: Random(7), live: Vec::with_capacity(LIVE), oldest: 0 };
        while bare.live.len() < LIVE {
            let order = bare.reserve();
            bare.live.push(order);
        }
        bare
    }

    fn reserve(&mut self) -> OrderId {
        let (order, product) = (self.random.order(), self.random.below(self.counts.len()));
        let units = self.random.next() % 3 + 1;
        self.counts[product].1 += units;
        self.held.insert(order, (u32::try_from(product).unwrap(), units));
        order
    }

    fn confirm(&mut self, order: OrderId) {
        let (product, units) = self.held.remove(&order).unwrap();
        let (real, reserved) = &mut self.counts[product as usize];
        *real -= units;
        *reserved -= units;
    }

    pub fn batch(&mut self, at_random: bool) {
        for _ in 0..BATCH {
            let which = if at_random { self.random.below(LIVE) } else { self.oldest };
            let new = self.reserve();
            let old = std::mem::replace(&mut self.live[which], new);
            self.confirm(old);
            self.oldest = (self.oldest + 1) % LIVE;
        }
    }
}
