//! Log lines: one JSON object per line on stdout, in the form of the events, and a copy to application-logs.
//!
//! Nothing here ever blocks its caller: a line for which there is no room, on the way to stdout or to the
//! log, is dropped and counted.

mod filter;
mod layer;
mod line;
mod plain;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use kbnt_application::Service;
use thiserror::Error;
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use kbnt_wire::raw::RawLog;
use layer::JsonLayer;

pub use filter::{Filter, InvalidFilter};

/// Lines that may wait for stdout.
const LINES_WAITING: usize = 8192;

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line, on stdout.
    Json,
    /// For people, on stderr.
    Text,
    /// Only to application-logs.
    Shipped,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// It was set up before.
    #[error(transparent)]
    Twice(#[from] TryInitError),
}

/// The log to which lines are copied, once it exists, and the number of dropped lines.
#[derive(Default)]
pub(crate) struct Shipping {
    log: RwLock<Option<Arc<dyn RawLog>>>,
    dropped: AtomicU64,
}

/// The process's logging. On drop it writes out waiting lines, and releases the log to which lines were
/// copied.
pub struct Logging {
    shipping: Arc<Shipping>,
    stdout_dropped: Option<ErrorCounter>,
    _flushes_when_dropped: Option<WorkerGuard>,
}

impl std::fmt::Debug for Logging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logging").field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

/// Writes lines for people.
fn text_layer<S, W>(writer: W, ansi: bool) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .compact()
        .fmt_fields(plain::Fields)
        .with_target(false)
        .with_ansi(ansi)
        .with_writer(writer)
}

impl Drop for Logging {
    /// The subscriber lives as long as the process, and would keep the log open, which is closed in order
    /// only when it is dropped.
    fn drop(&mut self) {
        let log = self.shipping.log.write().unwrap_or_else(PoisonError::into_inner).take();
        // Dropping may log lines of its own, which take the same lock.
        drop(log);
    }
}

impl Logging {
    /// Sets up logging for the whole process. Lines outside the work of a service belong to `service`.
    pub fn init(filter: &Filter, format: Format, service: Option<Service>) -> Result<Self, LoggingError> {
        let registry = tracing_subscriber::registry().with(filter.build());
        let shipping = Arc::new(Shipping::default());
        match format {
            Format::Json => {
                let (stdout, guard) = NonBlockingBuilder::default()
                    .buffered_lines_limit(LINES_WAITING)
                    .lossy(true)
                    .finish(std::io::stdout());
                let dropped = stdout.error_counter();
                registry.with(JsonLayer::new(stdout, service, Arc::clone(&shipping))).try_init()?;
                Ok(Self { shipping, stdout_dropped: Some(dropped), _flushes_when_dropped: Some(guard) })
            }
            Format::Text => {
                let ansi = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                let text = text_layer(std::io::stderr, ansi);
                let shipped = JsonLayer::new(std::io::sink, service, Arc::clone(&shipping));
                registry.with(text).with(shipped).try_init()?;
                Ok(Self { shipping, stdout_dropped: None, _flushes_when_dropped: None })
            }
            Format::Shipped => {
                registry.with(JsonLayer::new(std::io::sink, service, Arc::clone(&shipping))).try_init()?;
                Ok(Self { shipping, stdout_dropped: None, _flushes_when_dropped: None })
            }
        }
    }

    /// From now on, copies lines to application-logs in `log`.
    pub fn ship_to(&self, log: Arc<dyn RawLog>) {
        *self.shipping.log.write().unwrap_or_else(PoisonError::into_inner) = Some(log);
    }

    /// The number of lines dropped so far.
    pub fn dropped(&self) -> u64 {
        let stdout = self.stdout_dropped.as_ref().map_or(0, ErrorCounter::dropped_lines);
        self.shipping.dropped.load(Ordering::Relaxed) + u64::try_from(stdout).unwrap_or(u64::MAX)
    }
}
