//! The client's W3C trace context.

use axum::http::HeaderMap;
use kbnt_application::Trace;
use kbnt_domain::EventId;

/// The content of a `traceparent` header. A malformed one is ignored, as the specification requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceParent(Trace);

impl TraceParent {
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get("traceparent")?.to_str().ok()?;
        kbnt_wire::read_traceparent(text).map(Self)
    }

    /// The same trace, continued by the event that the request wrote.
    pub(super) fn continued_by(self, id: &EventId) -> Trace {
        self.0.child(id)
    }
}
