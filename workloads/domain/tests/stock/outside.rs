//! An archive in memory: what a ledger does not keep itself.

use std::hash::{Hash as _, Hasher as _};

use kbnt_domain::OrderId;
use kbnt_domain::stock::Ledger;
use kbnt_domain::stock::image::{Chunk, ClosedOrder, LedgerImage};

/// An archive, and how much its ledger keeps in memory.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    most: usize,
    orders: u32,
    rows: Vec<(u64, ClosedOrder)>,
    chunks: Vec<Chunk>,
}

impl Outside {
    /// The ledger keeps `most` closed orders and less than `orders` besides, which make a chunk.
    pub(crate) const fn new(most: usize, orders: u32) -> Self {
        Self { most, orders, rows: Vec::new(), chunks: Vec::new() }
    }

    /// Brings back what there is of an order.
    pub(crate) fn recall(&self, ledger: &mut Ledger, order: OrderId) {
        ledger.release();
        if ledger.wants(order)
            && let Some((place, closed)) = self.rows.iter().rev().find(|(_, closed)| closed.order == order)
        {
            ledger.recall(*place, closed.clone()).unwrap();
        }
    }

    /// Takes in what is too much for the memory.
    pub(crate) fn take_in(&mut self, ledger: &mut Ledger) {
        while let Some((chunk, rows)) = ledger.surplus(self.most, self.orders) {
            let before = self.rows.len();
            self.rows.extend(rows.into_iter().map(|(place, closed)| (place, closed.clone())));
            let mut sum = std::hash::DefaultHasher::new();
            format!("{:?}", &self.rows[before..]).hash(&mut sum);
            let chunk = Chunk { checksum: u32::try_from(sum.finish() >> 32).unwrap(), ..chunk };
            self.chunks.push(chunk);
            ledger.archive(chunk);
        }
    }

    /// Goes back to what an image knows of it; whether it has that.
    pub(crate) fn go_back_to(&mut self, image: &LedgerImage) -> bool {
        let end = image.archived.last().map_or(0, |last| last.first + u64::from(last.orders));
        let kept: Vec<Chunk> = self.chunks.iter().filter(|chunk| chunk.first < end).copied().collect();
        let known = |chunk: &Chunk| (chunk.first, chunk.orders, chunk.checksum);
        let from = kept.len().checked_sub(image.archived.len());
        let is_it =
            from.is_some_and(|from| kept[from..].iter().map(known).eq(image.archived.iter().map(known)));
        if is_it {
            self.rows.retain(|(place, _)| *place < end);
            self.chunks = kept;
        }
        is_it
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        (self.rows, self.chunks) = (Vec::new(), Vec::new());
    }
}
