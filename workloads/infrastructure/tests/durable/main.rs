//! The durable log: what was acknowledged is there again, whatever happened to process and files.
#![allow(missing_docs, unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod damage;
mod kill;
mod reopen;
