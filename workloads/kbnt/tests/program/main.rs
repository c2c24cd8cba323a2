//! The real program, started as users start it.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod backup;
mod demo;
mod dlq;
mod gateway;
mod killed;
mod limits;
mod log;
mod options;
mod output;
mod proof;
mod serve;
mod signals;
mod simulator;
mod state;
mod streams;
mod support;
mod tracing;
