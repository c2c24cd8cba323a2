//! Metrics of the HTTP API, and the text of all metrics for its route.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kbnt_application::intact::Integrity;
use kbnt_application::ports::{HttpMetrics, Refresh};

use super::{Metrics, render};

#[async_trait]
impl HttpMetrics for Metrics {
    fn http_answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.edges.http_duration.with_label_values(&[method, route, &status]).observe(took.as_secs_f64());
    }

    fn http_refused(&self, code: &str) {
        self.edges.http_problems.with_label_values(&[code]).inc();
    }

    fn show_log(&self, integrity: &Integrity) {
        for (topic, intact) in integrity.topics() {
            self.edges.log_intact.with_label_values(&[topic.name()]).set(i64::from(intact));
        }
        for (topic, records) in integrity.passed_over() {
            let counter = self.edges.records_expired.with_label_values(&[topic.name()]);
            counter.inc_by(records.saturating_sub(counter.get()));
        }
    }

    fn content_type(&self) -> &'static str {
        prometheus::TEXT_FORMAT
    }

    async fn shown(&self, refresh: Refresh<'_>) -> Arc<str> {
        let registry = self.registry.clone();
        let make = async {
            refresh.await;
            tokio::task::spawn_blocking(move || render(&registry).into()).await.unwrap_or_default()
        };
        self.shown.get(make).await
    }
}
