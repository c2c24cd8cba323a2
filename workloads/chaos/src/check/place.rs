//! What the audit trail must say of each record of a partition.

use std::collections::BTreeMap;

/// What the trail must say of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Duty {
    /// The record was not taken in yet.
    #[default]
    Unknown,
    /// Nothing.
    Silent,
    /// The chain must have it.
    Linked,
    /// Nobody can handle it: the chain must have it, and the trail must keep it.
    Kept,
}

/// A record of which something is not settled, or has been for a short time only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Audited {
    pub(super) duty: Duty,
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

    /// A record is taken in.
    pub(super) fn read(&mut self, offset: i64, duty: Duty) {
        self.end = self.end.max(offset + 1);
        self.records.entry(offset).or_default().duty = duty;
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
    /// Whether the chain must have it.
    pub(super) fn is_wanted(self) -> bool {
        matches!(self.duty, Duty::Linked | Duty::Kept)
    }

    /// Whether the trail must keep it, and does not.
    pub(super) fn is_lost(self) -> bool {
        self.duty == Duty::Kept && !self.kept
    }

    /// Whether something is still to come.
    pub(super) fn lacks(self) -> bool {
        (self.is_wanted() && self.linked == 0) || self.is_lost()
    }

    /// Whether all that should be said of it is said, and no more.
    fn is_settled(self) -> bool {
        self.duty != Duty::Unknown && !self.lacks() && self.linked == u32::from(self.is_wanted())
    }
}
