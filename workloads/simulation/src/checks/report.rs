//! What a run came to, where nothing was wrong.

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Steps that the scheduler took.
    pub steps: u64,
    /// Orders that were placed.
    pub orders: u64,
    /// Of them, confirmed ones.
    pub confirmed: u64,
    /// Records that were written.
    pub records: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// Closed orders that were brought back from an archive.
    pub recalled: u64,
    /// A digest of the whole log, to compare runs with.
    pub digest: u64,
}

impl std::ops::AddAssign for Report {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.orders += other.orders;
        self.confirmed += other.confirmed;
        self.records += other.records;
        self.faults += other.faults;
        self.recalled += other.recalled;
        self.digest ^= other.digest;
    }
}
