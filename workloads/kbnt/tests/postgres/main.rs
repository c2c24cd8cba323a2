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

use std::sync::{Arc, Mutex};

use kbnt_adapters::clock::SystemClock;
use kbnt_adapters::history::{PostgresAddress, PostgresHistory};
use kbnt_application::Position;
use kbnt_application::ports::{EventLog as _, History, HistoryReport, Observer};
use kbnt_domain::Span;
use kbnt_domain::order::OrderStatus;
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::{HistoryPlan, HistoryRunner, HistoryView};
use kbnt_testkit::{created, eventually, order, placed};
use tokio_util::sync::CancellationToken;

/// What the runner reported, in short.
#[derive(Default)]
struct Reports(Mutex<Vec<String>>);

impl Reports {
    fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|report| report.starts_with(name)).count()
    }

    fn has(&self, part: &str) -> bool {
        self.0.lock().unwrap().iter().any(|report| report.contains(part))
    }
}

impl Observer for Reports {
    fn history(&self, report: &HistoryReport<'_>) {
        let line = match report {
            HistoryReport::Applied { .. } => "applied".to_owned(),
            HistoryReport::Rebuilt { .. } => "rebuilt".to_owned(),
            HistoryReport::Expired { .. } => "expired".to_owned(),
            HistoryReport::Turn { applies } => format!("turn {applies}"),
            HistoryReport::Failed(error) => format!("failed: {error}"),
            HistoryReport::Resumed { .. }
            | HistoryReport::Building { .. }
            | HistoryReport::CaughtUp { .. } => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A process's history at work; it stops with this.
struct Running {
    view: HistoryView,
    reports: Arc<Reports>,
    shutdown: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn start(log: &EmbeddedLog, url: &str, retention: Option<Span>) -> Running {
    let store = PostgresHistory::new(PostgresAddress::Text(url.to_owned()), "shop.");
    let plan = HistoryPlan { store: Arc::new(store), retention };
    let (reports, shutdown) = (Arc::new(Reports::default()), CancellationToken::new());
    let (runner, view) =
        HistoryRunner::new(plan, Arc::new(log.clone()), Arc::new(SystemClock), reports.clone());
    tokio::spawn(runner.run(shutdown.clone()));
    Running { view, reports, shutdown }
}

async fn ready(running: &Running) {
    eventually("it is ready", || async { running.view.standing().ready }).await;
}

/// A log with so many orders, of which every second one is confirmed.
async fn log(orders: u32) -> EmbeddedLog {
    let log = EmbeddedLog::in_memory();
    log.append((0..orders).map(placed).collect()).await.unwrap();
    log.append((0..orders).step_by(2).map(created).collect()).await.unwrap();
    log
}

/// Appends one more order; where the log goes on.
async fn append(log: &EmbeddedLog, n: u32) -> Vec<Position> {
    let at = log.append(vec![placed(n)]).await.unwrap();
    at.iter().map(|at| Position { offset: at.offset + 1, ..*at }).collect()
}

async fn shows(running: &Running, orders: u32) -> bool {
    for n in 0..orders {
        let status = if n % 2 == 0 { OrderStatus::Confirmed } else { OrderStatus::Pending };
        if running.view.get(order(n)).await.unwrap().map(|view| view.status) != Some(status) {
            return false;
        }
    }
    true
}
