//! Checks that the log is the one that a service knows, and complete.
//!
//! A service reads and writes through a [`Guarded`] log. Before it starts to read, and whenever a position
//! moves without a record, the guard compares the position with the bounds of the log; and it checks the
//! topics' ids regularly. Once there is damage, nothing can be read or written any more until the process is
//! restarted: a state that was folded from another log cannot be repaired.

mod guard;
mod reader;
mod report;

pub use guard::Guarded;
