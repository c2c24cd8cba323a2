//! A history of orders at work on a log, and what it reports.

use std::sync::{Arc, Mutex};

use kbnt_adapters::clock::SystemClock;
use kbnt_application::ports::{EventLog, History as _, HistoryReport, HistoryStore, Observer};
use kbnt_domain::Span;
use kbnt_domain::order::OrderStatus;
use kbnt_embedded::EmbeddedLog;
use kbnt_runtime::{HistoryPlan, HistoryRunner, HistoryView};
use kbnt_testkit::{created, eventually, order, placed};
use tokio_util::sync::CancellationToken;

/// What the runner reported, in short.
#[derive(Default)]
pub struct Reports(pub Mutex<Vec<String>>);

impl Reports {
    /// How many begin like this.
    pub fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|report| report.starts_with(name)).count()
    }

    /// Whether one has this in it.
    pub fn has(&self, part: &str) -> bool {
        self.0.lock().unwrap().iter().any(|report| report.contains(part))
    }
}

impl Observer for Reports {
    fn history(&self, report: &HistoryReport<'_>) {
        let line = match report {
            HistoryReport::Applied { .. } => "applied".to_owned(),
            HistoryReport::Resumed { .. } => "resumed".to_owned(),
            HistoryReport::Rebuilt { .. } => "rebuilt".to_owned(),
            HistoryReport::CaughtUp { .. } => "caught up".to_owned(),
            HistoryReport::Expired { .. } => "expired".to_owned(),
            HistoryReport::Turn { applies } => format!("turn {applies}"),
            HistoryReport::Failed(error) => format!("failed: {error}"),
            HistoryReport::Building { .. } => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A history at work; it stops with this.
pub struct Running {
    pub view: HistoryView,
    pub reports: Arc<Reports>,
    pub shutdown: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub fn start_with(log: impl EventLog, store: Arc<dyn HistoryStore>, retention: Option<Span>) -> Running {
    let plan = HistoryPlan { store, retention };
    let (reports, shutdown) = (Arc::new(Reports::default()), CancellationToken::new());
    let (runner, view) = HistoryRunner::new(plan, Arc::new(log), Arc::new(SystemClock), reports.clone());
    tokio::spawn(runner.run(shutdown.clone()));
    Running { view, reports, shutdown }
}

pub async fn ready(running: &Running) {
    eventually("it is ready", || async { running.view.standing().ready }).await;
}

/// A log with so many orders, of which every second one is confirmed.
pub async fn log(orders: u32) -> EmbeddedLog {
    let log = EmbeddedLog::in_memory();
    log.append((0..orders).map(placed).collect()).await.unwrap();
    log.append((0..orders).step_by(2).map(created).collect()).await.unwrap();
    log
}

/// Whether the history has all orders of such a log as they are.
pub async fn shows(running: &Running, orders: u32) -> bool {
    for n in 0..orders {
        let status = if n % 2 == 0 { OrderStatus::Confirmed } else { OrderStatus::Pending };
        if running.view.get(order(n)).await.unwrap().map(|view| view.status) != Some(status) {
            return false;
        }
    }
    true
}
