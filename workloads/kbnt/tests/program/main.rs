//! The real program, as its users start it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod demo;
mod dlq;
mod gateway;
mod killed;
mod limits;
mod options;
mod output;
mod proof;
mod serve;
mod simulator;
mod streams;
mod support;
mod told;
mod tracing;
