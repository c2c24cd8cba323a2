//! One client's stream: it reads the log while it is behind, then the feed that all streams share.

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

/// Events per batch.
pub(super) const BATCH: usize = 128;

/// How long to wait for one batch of the log.
pub(super) const WAIT: Span = Span::from_millis(200);

/// An item of a stream.
pub(super) type Item = Result<Event, Infallible>;

/// The events that a stream includes.
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
    /// Not decided yet.
    Undecided,
    /// The log.
    Log(Box<dyn LogReader>),
    /// The feed, from this number.
    Feed(u64),
}

/// An open stream.
pub(super) struct EventStream {
    api: OrderApi,
    cursor: Cursor,
    only: Only,
    source: Source,
    /// The source has been read to its end at least once.
    is_live: bool,
    trail: Option<Trail>,
    ready: VecDeque<Event>,
    /// Whether the client has been notified that it has received everything so far.
    announced_live: bool,
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
            announced_live: false,
            _place: place,
        }
    }

    /// Ends when the process is to stop, or if the log cannot be read: the client reconnects where it was.
    pub(super) fn into_stream(self) -> BoxStream<'static, Item> {
        stream::unfold(self, |mut this| async {
            while this.ready.is_empty() {
                let shutdown = this.api.shutdown.clone();
                let batch = shutdown.run_until_cancelled(this.more()).await??;
                this.take(&batch);
                if !this.announced_live && this.is_live && this.trail.as_ref().is_none_or(Trail::is_live) {
                    this.announced_live = true;
                    // With an id, so that a client knows its position before the first event.
                    this.ready.push_back(Event::default().comment("live").id(this.cursor.to_string()));
                }
            }
            this.ready.pop_front().map(|event| (Ok(event), this))
        })
        .boxed()
    }

    /// The next events of any kind; may be empty. `None` if the log cannot be read.
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
        // From here the feed may suffice.
        if let Source::Log(reader) = &self.source
            && let Some(number) = covering(&self.api, &self.cursor, reader.as_ref())
        {
            self.source = Source::Feed(number);
        }
    }
}

impl Source {
    /// The next events; empty when it first reaches the end. Cancel safe.
    async fn more(&mut self, api: &OrderApi, cursor: &Cursor, is_live: &mut bool) -> Option<Vec<Delivered>> {
        loop {
            match self {
                Self::Undecided => *self = decide(api, cursor).await?,
                Self::Log(reader) => {
                    let fetched = reader.next(BATCH, WAIT).await.ok()?;
                    let is_at_end = fetched.is_empty();
                    let records: Vec<_> = fetched.into_iter().filter_map(understood).collect();
                    if !records.is_empty() {
                        return Some(records);
                    }
                    // The feed is there, too, or will be in a moment.
                    if is_at_end && let Some(number) = covering(api, cursor, reader.as_ref()) {
                        *self = Self::Feed(number);
                    }
                }
                Self::Feed(number) => {
                    let mut changes = api.views.changes();
                    match api.views.read(|views| views.feed.since(*number, BATCH)) {
                        // The stream is too slow for the feed.
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

/// The number of the oldest event of the feed, if that has everything which the cursor awaits and the reader has not read.
fn covering(api: &OrderApi, cursor: &Cursor, reader: &dyn LogReader) -> Option<u64> {
    api.views.read(|views| views.feed.covers(cursor, &reader.positions()))
}

/// The feed, if it has everything that the cursor awaits; else the log.
async fn decide(api: &OrderApi, cursor: &Cursor) -> Option<Source> {
    match api.views.read(|views| views.feed.covers(cursor, &[])) {
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

/// The event with the record as it is in the log, and its position.
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
