//! Choices from a seed.

/// From one number to the next.
const INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;

/// `SplitMix64`: small, fast, and the same everywhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(INCREMENT);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `limit` - 1; 0 if there is nothing to choose from.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.next() % limit }
    }

    /// An index of a list of this length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in `per_mille` of a thousand cases.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        if per_mille == 0 {
            // Most faults are left out of most steps: the number is not needed, but counts as drawn.
            self.0 = self.0.wrapping_add(INCREMENT);
            return false;
        }
        self.below(1000) < per_mille
    }

    /// One of those that come of `from`.
    pub(crate) fn pick_of<I: Iterator + Clone>(&mut self, from: I) -> Option<I::Item> {
        let at = self.index(from.clone().count());
        { from }.nth(at)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.index(from.len()))
    }
}
