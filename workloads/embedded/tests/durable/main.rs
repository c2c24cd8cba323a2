//! The durable log: acknowledged records survive whatever happens to process and files.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod files;
mod kill;
mod offsets;
mod reading;
mod reopen;
