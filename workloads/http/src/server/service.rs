//! The routes as one connection sees them: each request knows its client, and is tracked until its response
//! is sent.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Request, Response, Version, header};
use axum::response::IntoResponse as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tower::Service;

use super::activity::{Activity, InFlight};
use crate::problem::Problem;

/// The client of a request: its address, or its own network (IPv6, 64 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl Peer {
    /// The client with this address.
    pub fn of(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The routes for one connection.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    app: Router,
    peer: Peer,
    activity: Arc<Activity>,
}

impl Watched {
    pub(super) const fn new(app: Router, peer: Peer, activity: Arc<Activity>) -> Self {
        Self { app, peer, activity }
    }
}

impl Service<Request<Incoming>> for Watched {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let in_flight = self.activity.begin();
        request.extensions_mut().insert(self.peer);
        let kept = request.version() <= Version::HTTP_11;
        let refused = check_host(&request).and_then(|()| check_coding(&request)).err();
        let fully_read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let seen = Arc::clone(&fully_read);
        let answer = self.app.call(request.map(|body| Body::new(RequestBody { body, fully_read: seen })));
        let activity = Arc::clone(&self.activity);
        Box::pin(async move {
            let mut answer = match refused {
                Some(problem) => problem.into_response(),
                None => answer.await?,
            };
            // The rest of a body would be taken for the next request.
            if kept && !fully_read.load(Ordering::Acquire) {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                activity.linger();
            }
            // Nothing requests the body of an HTTP/2 response before the client has opened a window for it.
            if !answer.body().is_end_stream() {
                in_flight.handed();
            }
            Ok(answer.map(|body| Answer { body, in_flight }))
        })
    }
}

/// RFC 9112, 3.2: HTTP/1.1 requires exactly one valid Host.
fn check_host(request: &Request<Incoming>) -> Result<(), Problem> {
    if request.version() != Version::HTTP_11 {
        return Ok(());
    }
    let wrong = |message: &str| Err(Problem::field("host", message));
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => wrong("missing: HTTP/1.1 wants it"),
        (Some(_), Some(_)) => wrong("given twice"),
        (Some(host), None) if host.is_empty() || is_authority(host) => Ok(()),
        (Some(_), None) => wrong("not a host and a port"),
    }
}

/// RFC 9112, 6.1: another transfer coding would be taken for the body. Only `chunked` is allowed, once.
fn check_coding(request: &Request<Incoming>) -> Result<(), Problem> {
    let mut codings = request.headers().get_all(header::TRANSFER_ENCODING).iter();
    let chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if chunked(coding) => Ok(()),
        _ => Err(Problem::field("transfer-encoding", "chunked and nothing else, once")),
    }
}

fn is_authority(host: &HeaderValue) -> bool {
    let authority = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
    authority.is_some_and(|authority| !authority.as_str().contains('@'))
}

/// The body of a request.
#[derive(Debug)]
struct RequestBody {
    body: Incoming,
    /// Set once the whole body has been read.
    fully_read: Arc<AtomicBool>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let at_end = matches!(&polled, Poll::Ready(None))
            || matches!(&polled, Poll::Ready(Some(Ok(_)))) && self.body.is_end_stream();
        if at_end {
            self.fully_read.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct Answer {
    body: Body,
    in_flight: InFlight,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.in_flight.asked();
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(_)) = &polled {
            self.in_flight.handed();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
