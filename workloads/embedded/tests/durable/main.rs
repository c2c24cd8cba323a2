//! The durable log: what was acknowledged is there again, whatever happened to process and files.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod files;
mod kill;
mod offsets;
mod reading;
mod reopen;
