//! One client's stream: from the log while it is behind, then from the feed that all streams share.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::response::sse::Event;
use futures::stream::{self, BoxStream, StreamExt};
use kbnt_application::message::{Classification, Subject};
use kbnt_application::ports::{Fetched, LogReader};
use kbnt_application::{Append, Delivered, Route};
use kbnt_domain::{OrderId, Span};

use super::cursor::Cursor;
use super::trail::Trail;
use crate::orders::OrderApi;
use crate::shares::Taking;
use kbnt_wire as wire;

/// Events that are taken at a time.
pub(super) const BATCH: usize = 128;

/// How long the log is asked at a time.
pub(super) const WAIT: Span = Span::from_millis(200);

/// What a stream is made of.
pub(super) type Item = Result<Event, Infallible>;

/// Which events a stream is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Only {
    Everything,
    Order(OrderId),
}

impl Only {
    fn takes(self, record: &Delivered) -> bool {
        match self {
            Self::Everything => true,
            Self::Order(order) => Subject::of(&record.message.event) == Subject::Order(order),
        }
    }
}

/// Where the next events come from.
enum Source {
    /// To be found out.
    Undecided,
    /// The log.
    Log(Box<dyn LogReader>),
    /// The feed, from this number on.
    Feed(u64),
}

/// A stream under way.
pub(super) struct EventStream {
    api: OrderApi,
    cursor: Cursor,
    only: Only,
    source: Source,
    /// The source has been read to the end of what there was.
    is_live: bool,
    trail: Option<Trail>,
    ready: VecDeque<Event>,
    /// Whether the client was told that it has seen all that there was.
    told_live: bool,
    _place: Taking,
}

impl EventStream {
    pub(super) fn new(
        api: OrderApi,
        cursor: Cursor,
        only: Only,
        trail: Option<Trail>,
        place: Taking,
    ) -> Self {
        Self {
            api,
            cursor,
            only,
            source: Source::Undecided,
            is_live: false,
            trail,
            ready: VecDeque::new(),
            told_live: false,
            _place: place,
        }
    }

    /// Ends when the process is to stop, or the log cannot be read: the client comes again where it was.
    pub(super) fn into_stream(self) -> BoxStream<'static, Item> {
        stream::unfold(self, |mut this| async {
            while this.ready.is_empty() {
                let shutdown = this.api.shutdown.clone();
                let batch = shutdown.run_until_cancelled(this.more()).await??;
                this.take(&batch);
                if !this.told_live && this.is_live && this.trail.as_ref().is_none_or(Trail::is_live) {
                    this.told_live = true;
                    // With an id, so that a client knows where it stands before the first event.
                    this.ready.push_back(Event::default().comment("live").id(this.cursor.to_string()));
                }
            }
            this.ready.pop_front().map(|event| (Ok(event), this))
        })
        .boxed()
    }

    /// The next events, whatever they are about; may be none. `None` where the log cannot be read.
    async fn more(&mut self) -> Option<Vec<Delivered>> {
        let Self { api, cursor, source, is_live, trail, .. } = self;
        let linked = async {
            match trail {
                Some(trail) => trail.next().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            events = source.more(api, cursor, is_live) => events,
            linked = linked => linked,
        }
    }

    fn take(&mut self, batch: &[Delivered]) {
        for record in batch {
            if !self.cursor.awaits(record.at) {
                continue;
            }
            self.cursor.pass(record.at, &record.message.id);
            if self.only.takes(record)
                && let Some(event) = event(record, &self.cursor)
            {
                self.ready.push_back(event);
            }
        }
        // From here on the feed may do.
        if let Source::Log(_) = self.source
            && let Some(number) = self.api.views.read(|views| views.feed.covers(&self.cursor))
        {
            self.source = Source::Feed(number);
        }
    }
}

impl Source {
    /// The next events; none at all when it first comes to the end of what there is. Whoever stops waiting loses nothing.
    async fn more(&mut self, api: &OrderApi, cursor: &Cursor, is_live: &mut bool) -> Option<Vec<Delivered>> {
        loop {
            match self {
                Self::Undecided => *self = decide(api, cursor).await?,
                Self::Log(reader) => {
                    let fetched = reader.next(BATCH, WAIT).await.ok()?;
                    let records: Vec<_> = fetched.into_iter().filter_map(understood).collect();
                    if !records.is_empty() {
                        return Some(records);
                    }
                    // At the end of the log; the feed is there too, or will be in a moment.
                    *self = Self::Undecided;
                }
                Self::Feed(number) => {
                    let mut changes = api.views.changes();
                    match api.views.read(|views| views.feed.since(*number, BATCH)) {
                        // Too slow for the feed.
                        None => *self = Self::Undecided,
                        Some((events, after)) if !events.is_empty() => {
                            *number = after;
                            return Some(events);
                        }
                        Some(_) if !*is_live => {
                            *is_live = true;
                            return Some(Vec::new());
                        }
                        Some(_) => changes.changed().await.then_some(())?,
                    }
                }
            }
        }
    }
}

/// The feed, if it holds all that is awaited; else the log.
async fn decide(api: &OrderApi, cursor: &Cursor) -> Option<Source> {
    match api.views.read(|views| views.feed.covers(cursor)) {
        Some(number) => Some(Source::Feed(number)),
        None => api.events.read(cursor.positions(|topic| !Trail::is_of(topic))).await.ok().map(Source::Log),
    }
}

pub(super) fn understood(fetched: Fetched) -> Option<Delivered> {
    match fetched {
        Fetched::Record(record) => Some(record),
        Fetched::Unreadable(_) => None,
    }
}

/// The record as it is in the log, and where it lies.
fn event(record: &Delivered, cursor: &Cursor) -> Option<Event> {
    let append = Append {
        message: record.message.clone(),
        route: Route::Partition(record.at.partition),
        source: None,
    };
    let value = String::from_utf8(wire::encode(&append).ok()?.value?).ok()?;
    let at = record.at;
    let place =
        format!(r#"{{"topic":"{}","partition":{},"offset":{},"#, at.topic.name(), at.partition, at.offset);
    let data = format!("{place}{}", value.strip_prefix('{')?);
    let name = Classification::of(&record.message.event).name;
    Some(Event::default().event(name).id(cursor.to_string()).data(data))
}
