//! What an HTTP API needs of the figures of its process.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::intact::Integrity;

/// Brings figures up to date that are read only when somebody looks.
pub type Refresh<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Counts and measures requests, and shows all figures of the process.
#[async_trait]
pub trait HttpMetrics: Send + Sync + 'static {
    /// Counts an answered request.
    fn http_answered(&self, method: &str, route: &str, status: u16, took: Duration);

    /// Counts a request that was answered with a problem document of this code.
    fn http_refused(&self, code: &str);

    /// Shows which topics are intact, and how many records expired unread.
    fn show_log(&self, integrity: &Integrity);

    /// The content type of [`HttpMetrics::shown`].
    fn content_type(&self) -> &'static str;

    /// Everything after `refresh`, for whoever asks over HTTP: a few times a second at most, and not on a thread on which others
    /// wait for their answers. Who asks too often waits, or shares what another one got.
    async fn shown(&self, refresh: Refresh<'_>) -> Arc<str>;
}
