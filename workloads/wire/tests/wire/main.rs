//! The wire format: every event survives it, foreign records are understood or refused with a reason, and the examples
//! of `docs/events.md` are what the services write.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod docs;
mod events;
mod foreign;
mod handled;
mod round_trip;
