//! The real program, as its users start it.
#![allow(missing_docs, unreachable_pub)]

mod audit;
mod demo;
mod killed;
mod serve;
mod simulator;
mod support;
