//! Liveness and readiness of the process, and the HTTP server that reports them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use crate::metrics::Metrics;

/// Watches are renewed at least every 5 minutes. If the API server has not accepted one for this long, it
/// will not, and a restart may help.
const SILENCE: Duration = Duration::from_mins(15);

/// Liveness and readiness of the process. Clones share the same state.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When each watch was last accepted, or first tried if it never was.
    watches: HashMap<String, Instant>,
    /// Why the process is not ready.
    waiting: Option<String>,
}

impl Health {
    /// A watch on this path was requested.
    pub fn watch_tried(&self, path: &str) {
        self.lock().watches.entry(path.to_owned()).or_insert_with(Instant::now);
    }

    /// A watch on this path was accepted.
    pub fn watch_answered(&self, path: &str) {
        self.lock().watches.insert(path.to_owned(), Instant::now());
    }

    /// Watches on paths with this ending have stopped for good.
    pub fn watch_ended(&self, ending: &str) {
        self.lock().watches.retain(|path, _| !path.ends_with(ending));
    }

    /// Sets why the process is not ready; `None` makes it ready.
    pub fn waits_for(&self, what: Option<String>) {
        self.lock().waiting = what;
    }

    /// Why the process should be restarted, if it should.
    pub fn sick(&self, now: Instant) -> Option<String> {
        let state = self.lock();
        let silent = state.watches.iter().find(|(_, since)| now.saturating_duration_since(**since) > SILENCE);
        silent.map(|(path, _)| {
            format!("no watch on {path} was accepted for {} minutes", SILENCE.as_secs() / 60)
        })
    }

    /// Why the process is not ready, if it is not.
    pub fn waiting(&self) -> Option<String> {
        self.lock().waiting.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics` while it is polled.
pub async fn serve(address: SocketAddr, health: Health, metrics: Metrics) -> std::io::Result<()> {
    let ready = health.clone();
    let router = Router::new()
        .route("/healthz", get(async move || response(health.sick(Instant::now()))))
        .route("/readyz", get(async move || response(ready.waiting())))
        .route(
            "/metrics",
            get(async move || match metrics.render() {
                Ok(text) => (StatusCode::OK, text),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }),
        );
    axum::serve(tokio::net::TcpListener::bind(address).await?, router).await
}

fn response(problem: Option<String>) -> (StatusCode, String) {
    problem.map_or((StatusCode::OK, "ok".to_owned()), |problem| (StatusCode::SERVICE_UNAVAILABLE, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_stays_silent_makes_the_process_sick() {
        let health = Health::default();
        let now = Instant::now();
        health.watch_tried("/apis/kbnt.dev/v1alpha1/virtualstocks");
        assert_eq!(health.sick(now + Duration::from_mins(10)), None);
        let sick = health.sick(now + SILENCE + Duration::from_secs(5));
        assert!(sick.is_some_and(|why| why.contains("virtualstocks")));
        health.watch_ended("/virtualstocks");
        assert_eq!(health.sick(now + SILENCE + Duration::from_secs(5)), None);
    }
}
