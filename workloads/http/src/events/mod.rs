//! Resumable server-sent events: the id of each event is the stream's position in the whole log.

mod cursor;
mod feed;
mod resume;
mod stream;
mod trail;

use axum::extract::State;
use axum::http::{Extensions, HeaderMap};
use axum::response::Sse;
use axum::response::sse::KeepAlive;
use kbnt_application::ports::LogError;
use kbnt_application::{Position, Topic};
use kbnt_domain::OrderId;

use super::orders::OrderApi;
use super::params::{Hyphenated, Id, Params, header};
use super::problem::{Code, Problem, log_failed};
use super::responses::{Gone, Malformed, NotFound, NotReady};
use cursor::{Cursor, Place};
use stream::{EventStream, Only};
use trail::Trail;

pub(super) use feed::Feed;

type Events = Sse<KeepAliveStream>;
type KeepAliveStream =
    axum::response::sse::KeepAliveStream<futures::stream::BoxStream<'static, stream::Item>>;

/// Where a stream of all events starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Now,
    Start,
}

impl std::str::FromStr for From {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "now" => Ok(Self::Now),
            "start" => Ok(Self::Start),
            _ => Err("now or start"),
        }
    }
}

/// The events of an order, from its first on, as server-sent events
///
/// Each is the record with its topic, partition and offset; `Last-Event-ID` goes on after that event, in the log that it is of.
/// A comment `live`
/// follows the last event that there was when the stream was opened.
#[utoipa::path(get, path = "/v1/orders/{orderId}/events", tag = "events", params(
    ("orderId" = uuid::Uuid, Path), ("Last-Event-ID" = Option<String>, Header, pattern = "^([0-9a-f]{1,16}_)?[0-9a-f.:-]{31,}$", description = "The `id` of an event")), responses(
    (status = 200, description = "Events without end", content_type = "text/event-stream", body = String),
    NotFound, Gone, Malformed, NotReady))]
pub(super) async fn order_events(
    State(api): State<OrderApi>,
    Id(Hyphenated(order)): Id<Hyphenated<OrderId>>,
    params: Params,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Events, Problem> {
    params.only(&[])?;
    let last = header::<Cursor>(&headers, "last-event-id")?;
    api.check_ready()?;
    let log = resume::name(api.events.as_ref()).await.map_err(|error| unreadable(&error))?;
    let start = api.views.read(|views| {
        let view = views.book.get(&order)?;
        // Events that are not in the timeline yet are still to come.
        Some(Cursor::at(log, |topic, partition| {
            let here = view
                .timeline
                .iter()
                .map(|entry| entry.at)
                .filter(|at| (at.topic, at.partition) == (topic, partition));
            let first = here.map(|at| at.offset).min();
            first.map_or_else(|| views.feed.place(topic, partition), Place::before)
        }))
    });
    let start = start.ok_or_else(|| super::orders::unknown(order))?;
    if let Some(last) = &last {
        let bounds = resume::bounds(api.events.as_ref()).await.map_err(|error| unreadable(&error))?;
        resume::check(api.events.as_ref(), log, &bounds, last).await?;
    }
    open(api, &extensions, last.unwrap_or(start), Only::Order(order), None)
}

/// All events of all topics but application-logs, as server-sent events
///
/// It starts with what comes next, or with the first record of each topic (`from=start`); `Last-Event-ID` goes on after
/// that event. A comment `live` follows the last event that there was when the stream was opened.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(
    ("from" = Option<String>, Query, pattern = "^(now|start)$", description = "`now` (default) or `start`"),
    ("Last-Event-ID" = Option<String>, Header, pattern = "^([0-9a-f]{1,16}_)?[0-9a-f.:-]{31,}$", description = "The `id` of an event")), responses(
    (status = 200, description = "Events without end", content_type = "text/event-stream", body = String), Gone, Malformed, NotReady))]
pub(super) async fn all_events(
    State(api): State<OrderApi>,
    params: Params,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Events, Problem> {
    let from = params.only(&["from"])?.get("from")?.unwrap_or(From::Now);
    let last = header::<Cursor>(&headers, "last-event-id")?;
    api.check_ready()?;
    let log = resume::name(api.events.as_ref()).await.map_err(|error| unreadable(&error))?;
    let bounds = resume::bounds(api.events.as_ref()).await.map_err(|error| unreadable(&error))?;
    let here = |topic, partition| bounds.get(&(topic, partition)).copied().unwrap_or_default();
    let cursor = match (last, from) {
        (Some(last), _) => {
            resume::check(api.events.as_ref(), log, &bounds, &last).await?;
            last
        }
        (None, From::Now) => api.views.read(|views| {
            Cursor::at(log, |topic, partition| {
                if Trail::is_of(topic) {
                    Place::before(here(topic, partition).end)
                } else {
                    views.feed.place(topic, partition)
                }
            })
        }),
        (None, From::Start) => {
            Cursor::at(log, |topic, partition| Place::before(here(topic, partition).first))
        }
    };
    let ends = Topic::event_partitions().filter(|(topic, _)| Trail::is_of(*topic));
    let ends =
        ends.map(|(topic, partition)| Position { topic, partition, offset: here(topic, partition).end });
    let trail = Trail::open(api.events.as_ref(), cursor.positions(Trail::is_of), ends.collect()).await;
    let trail = trail.map_err(|error| unreadable(&error))?;
    open(api, &extensions, cursor, Only::Everything, Some(trail))
}

fn unreadable(error: &LogError) -> Problem {
    log_failed(Code::NotReady, error)
}

fn open(
    api: OrderApi,
    extensions: &Extensions,
    start: Cursor,
    only: Only,
    trail: Option<Trail>,
) -> Result<Events, Problem> {
    let place = api
        .streams
        .take(extensions)
        .ok_or_else(|| Problem::new(Code::TooManyStreams, "close one, or try again later"))?;
    let stream = EventStream::new(api, start, only, trail, place).into_stream();
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}
