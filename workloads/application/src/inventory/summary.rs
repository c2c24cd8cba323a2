//! The inventory at a glance.

use std::fmt;

use kbnt_domain::stock::Totals;

/// Differs whenever anything shown does; across restarts too, as each has a term of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Version {
    /// The writer's term.
    pub term: u64,
    /// Changes since.
    pub changes: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.term, self.changes)
    }
}

/// Inputs that had no effect, or had to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Decided before.
    pub repeated: u64,
    /// An order under a known id with another basket, or a payment for a reservation that is not its order's.
    pub conflicts: u64,
    /// Older than the window.
    pub stale: u64,
    /// Waited for units that were freed a moment before.
    pub waits: u64,
}

/// Everything but the products at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Of what is shown; its term is the writer's, 0 before the election.
    pub version: Version,
    /// Sums.
    pub totals: Totals,
    /// What is wrong with the books; empty unless there is a bug.
    pub violations: Vec<String>,
}
