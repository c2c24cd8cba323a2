//! Whether the log is the one that a service knows, and all of it.
//!
//! A service reads and writes through a [`Guarded`] log. Before it starts to read, and whenever a position moves without a record, the
//! guard compares the position with what the log keeps; and it asks again and again which topics those are. Once something is
//! wrong, nothing can be read or written any more until the process is started anew: a state that was folded from another log
//! cannot be put right.

mod guard;
mod reader;
mod report;

pub use guard::Guarded;
