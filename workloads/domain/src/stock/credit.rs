//! Units that are free again, or new, but whose record is not safe yet.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::product::ProductIx;

/// A decision that freed units; [`super::Ledger::settle`] is given it once its record is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreditId(u64);

/// Units by product.
pub(super) type Freed = SmallVec<[(ProductIx, u64); 2]>;

/// All that is not settled, in the order of the decisions.
#[derive(Debug, Default)]
pub(super) struct Credits {
    first: u64,
    open: VecDeque<Option<Freed>>,
}

impl Credits {
    /// Notes units that a decision freed.
    pub(super) fn note(&mut self, freed: Freed) -> CreditId {
        self.open.push_back(Some(freed));
        CreditId(self.first + self.open.len() as u64 - 1)
    }

    /// Takes out what `id` freed; nothing the second time.
    pub(super) fn settle(&mut self, id: CreditId) -> Option<Freed> {
        let place = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        let freed = self.open.get_mut(place)?.take();
        while let Some(None) = self.open.front() {
            self.open.pop_front();
            self.first += 1;
        }
        freed
    }

    /// What is not settled.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Freed> {
        self.open.iter().flatten()
    }
}
