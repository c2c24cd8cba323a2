//! What the audit trail must say of each record of a partition.

use std::collections::BTreeMap;

/// A record of which something is not settled, or has been for a short time only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Audited {
    /// It was taken in.
    pub(super) read: bool,
    /// The chain must have it.
    pub(super) wanted: bool,
    /// Nobody can handle it, so it must be kept.
    pub(super) to_be_kept: bool,
    /// It is kept.
    pub(super) kept: bool,
    /// How often the chain has it.
    pub(super) linked: u32,
}

/// The records of a partition by their offsets.
#[derive(Debug, Default)]
pub(super) struct Partition {
    records: BTreeMap<i64, Audited>,
    /// Before this one, those that are not there any more are settled.
    settled: i64,
    /// The ends of what was taken in, at the turn before and at the one before that.
    ends: [i64; 2],
    end: i64,
}

impl Partition {
    /// A record; `None` for one that was settled and forgotten.
    pub(super) fn at(&mut self, offset: i64) -> Option<&mut Audited> {
        if offset < self.settled && !self.records.contains_key(&offset) {
            return None;
        }
        Some(self.records.entry(offset).or_default())
    }

    /// A record that is taken in.
    pub(super) fn read(&mut self, offset: i64) -> &mut Audited {
        self.end = self.end.max(offset + 1);
        let record = self.records.entry(offset).or_default();
        record.read = true;
        record
    }

    /// Forgets what was settled two turns ago.
    pub(super) fn turn(&mut self) {
        let [newer, older] = self.ends;
        (self.settled, self.ends) = (older, [self.end, newer]);
        let young = self.records.split_off(&self.settled);
        self.records.retain(|_, record| !record.is_settled());
        self.records.extend(young);
    }

    /// All that is not forgotten.
    pub(super) fn all(&self) -> impl Iterator<Item = (i64, &Audited)> {
        self.records.iter().map(|(offset, record)| (*offset, record))
    }
}

impl Audited {
    /// Whether something is still to come.
    pub(super) const fn lacks(&self) -> bool {
        (self.wanted && self.linked == 0) || (self.to_be_kept && !self.kept)
    }

    /// Whether all that should be said of it is said, and no more.
    const fn is_settled(&self) -> bool {
        self.read && !self.lacks() && self.linked == self.wanted as u32
    }
}
