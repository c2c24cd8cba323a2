//! Serves HTTP/1.1 and HTTP/2 with limits, and shuts down without cutting anybody off.

mod activity;
mod heads;
mod limits;
mod places;
mod service;
mod socket;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use activity::{Activity, Overdue};
pub use limits::Limits;
use places::{Place, Places};
pub use service::Peer;
use service::Watched;
use socket::Socket;

/// The largest head of a request, in bytes.
const HEAD_MOST: usize = 32 * 1024;

/// The same for HTTP/2.
const HEAD_MOST_HTTP2: u32 = 32 * 1024;

/// Concurrent requests on one HTTP/2 connection.
const STREAMS_MOST: u32 = 256;

/// The pause after the system has refused a new connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long an idle connection may take to end by itself when asked to.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves `app` on `listener` until `shutdown`, then waits for the requests in progress.
///
/// A new client gets a connection as long as another connection is idle, or does not take its response: the
/// one that has been in that state longest is closed.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let builder = Arc::new(builder(limits));
    let places = Arc::new(Places::new(limits.connections));
    // The last connection drops it.
    let (alive, mut ended) = tokio::sync::mpsc::channel::<()>(1);
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                places.evict();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (peer, activity) = (Peer::of(peer), Arc::new(Activity::new(limits)));
        let Some(place) = shutdown.run_until_cancelled(places.take(peer, &activity)).await else { break };
        // Responses are small and a client waits for each; a socket that refuses is about to fail anyway.
        let _ = socket.set_nodelay(true);
        let service = Watched::new(app.clone(), peer, Arc::clone(&activity));
        let connection = Connection {
            builder: Arc::clone(&builder),
            socket,
            service,
            activity,
            place,
            shutdown: shutdown.clone(),
        };
        let alive = alive.clone();
        tokio::spawn(async move {
            connection.run().await;
            drop(alive);
        });
    }
    drop((listener, alive));
    if tokio::time::timeout(limits.drain, ended.recv()).await.is_err() {
        tracing::warn!("requests were still under way when the time to stop was over");
        // Closing the places ends the remaining connections.
        places.close();
    }
    Ok(())
}

/// A client's connection.
struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    socket: TcpStream,
    service: Watched,
    activity: Arc<Activity>,
    place: Place,
    shutdown: CancellationToken,
}

impl Connection {
    /// Serves it until one side ends it, or it is overdue.
    async fn run(self) {
        let Self { builder, socket, service, activity, place, shutdown } = self;
        let socket = TokioIo::new(Socket::new(socket, Arc::clone(&activity)));
        let service = TowerToHyperService::new(service);
        let mut served = pin!(builder.serve_connection(socket, service));
        tokio::select! {
            // A client that disconnects or sends nonsense harms only itself.
            _ = &mut served => return,
            overdue = activity.overdue() => if overdue == Overdue::Cut { return },
            () = shutdown.cancelled() => {
                served.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = &mut served => {}
                    () = place.lost() => {}
                    _ = activity.overdue() => {}
                }
                return;
            }
        }
        served.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(FAREWELL, served).await;
    }
}

/// Protocol settings; [`Activity`] has the deadlines.
fn builder(limits: Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_MOST);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.headers)
        .max_concurrent_streams(STREAMS_MOST)
        .max_header_list_size(HEAD_MOST_HTTP2);
    builder
}
