//! The history of orders in a database that several processes share: a real one, started by `e2e/postgres/server.sh`, and for the
//! services a broker, that of `KBNT_TEST_BOOTSTRAP`.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod appliers;
mod outage;
#[path = "../program/support.rs"]
#[allow(dead_code, reason = "each test program uses its own part of this")]
mod program;
mod server;
mod service;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use kbnt_adapters::history::{PostgresAddress, PostgresHistory};
use kbnt_application::Position;
use kbnt_application::ports::EventLog as _;
use kbnt_domain::Span;
use kbnt_embedded::EmbeddedLog;
use kbnt_testkit::placed;

use support::history::{Running, log, ready, shows, start_with};

fn start(log: &EmbeddedLog, url: &str, retention: Option<Span>) -> Running {
    let store = PostgresHistory::new(PostgresAddress::Text(url.to_owned()), "shop.");
    start_with(log.clone(), Arc::new(store), retention)
}

/// Appends one more order; where the log goes on.
async fn append(log: &EmbeddedLog, n: u32) -> Vec<Position> {
    let at = log.append(vec![placed(n)]).await.unwrap();
    at.iter().map(|at| Position { offset: at.offset + 1, ..*at }).collect()
}
