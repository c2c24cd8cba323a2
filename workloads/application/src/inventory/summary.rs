//! The inventory at a glance.

use std::fmt;

use kbnt_domain::event::Writer;
use kbnt_domain::stock::{ProductLevel, Totals};

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

/// Everything at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Of what is shown.
    pub version: Version,
    /// Who decides.
    pub writer: Writer,
    /// Sums.
    pub totals: Totals,
    /// What is wrong with the books; empty unless there is a bug.
    pub violations: Vec<String>,
    /// All products, by id.
    pub products: Vec<ProductLevel>,
}
