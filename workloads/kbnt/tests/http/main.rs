//! The HTTP API, with all six services behind it on a log in memory.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod app;
mod events;
mod failures;
mod fuzz;
mod history;
mod log;
mod openapi;
mod orders;
mod problems;
mod repeats;
mod server;
mod standby;
mod stock;
mod users;
