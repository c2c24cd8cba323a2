//! Serves HTTP/1.1 and HTTP/2 with limits, and stops without cutting anybody off.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What a server grants.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more of them wait in the kernel's queue.
    pub connections: usize,
    /// How long a client may take to send a request's headers, and an idle connection may stay.
    pub headers: Duration,
    /// How long requests under way may take once the server is told to stop.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 4096, headers: Duration::from_secs(30), drain: Duration::from_secs(10) }
    }
}

/// The largest head of a request, in bytes.
const HEAD_MOST: usize = 32 * 1024;

/// The same for HTTP/2.
const HEAD_MOST_HTTP2: u32 = 32 * 1024;

/// Requests at a time on one HTTP/2 connection.
const STREAMS_MOST: u32 = 256;

/// The pause after the system refused a new connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `app` on `listener` until `shutdown`; then waits for the requests under way.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let builder = builder(limits);
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    while let Some(place) = shutdown.run_until_cancelled(Arc::clone(&places).acquire_owned()).await {
        let place = place.map_err(io::Error::other)?;
        let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await else { break };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small and somebody waits for each; a socket that refuses is about to fail anyway.
        let _ = socket.set_nodelay(true);
        let service = TowerToHyperService::new(app.clone());
        let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off or talks nonsense is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to stop was over");
    }
    Ok(())
}

/// How connections are served.
fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.headers).max_buf_size(HEAD_MOST);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.headers)
        .max_concurrent_streams(STREAMS_MOST)
        .max_header_list_size(HEAD_MOST_HTTP2);
    builder
}
