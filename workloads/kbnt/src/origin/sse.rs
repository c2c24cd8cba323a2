//! Reads the server-sent events of a running `kbnt serve`.

use std::time::Duration;

use kbnt_application::{Position, Topic};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use super::frames::{Frame, Frames};
use super::{From, Next, Seen};
use crate::failure::Failure;

/// The pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_millis(500);

/// Connections without any event in between after which it gives up.
const TRIES: u32 = 20;

/// How long a server may stay silent before it has reported that it has sent everything.
const PATIENCE: Duration = Duration::from_mins(1);

/// An open stream.
pub(crate) struct Events {
    client: Client,
    url: Url,
    topics: Vec<Topic>,
    response: Response,
    frames: Frames,
    last: Option<String>,
    caught_up: bool,
    /// Connections since the last event, or since everything was read.
    tries: u32,
    /// Whether the stream begins anew, and that has not been reported yet.
    anew: bool,
}

/// The position of the event in a data line.
#[derive(Deserialize)]
struct Place {
    topic: String,
    partition: u32,
    offset: u64,
}

impl Events {
    /// `None` if there is no such stream at `url`.
    pub(super) async fn open(url: &Url, topics: &[Topic], from: From) -> Result<Option<Self>, Failure> {
        let client = client(url)?;
        let mut events = at(url, "v1/events")?;
        events.set_query(Some(match from {
            From::Start => "from=start",
            From::Now => "from=now",
        }));
        let response = client.get(events.clone()).send().await.map_err(|error| away(url, &error))?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if let Some(why) = objection(&response) {
            return Err(Failure::Options(format!("{events} {why}")));
        }
        let topics = topics.to_vec();
        Ok(Some(Self {
            client,
            url: events,
            topics,
            response,
            frames: Frames::new(),
            last: None,
            caught_up: false,
            tries: 0,
            anew: false,
        }))
    }

    pub(super) async fn next(&mut self) -> Result<Next, Failure> {
        let mut give_up = Instant::now() + PATIENCE;
        loop {
            let frame = if self.caught_up {
                self.frame().await?
            } else {
                let waited = timeout_at(give_up, self.frame()).await;
                let silent = |_| Failure::Options(format!("{}: nothing comes for {PATIENCE:?}", self.url));
                waited.map_err(silent)??
            };
            let Some(Frame { id, data, comment }) = frame else {
                self.caught_up = false;
                return Ok(Next::Anew);
            };
            let has_id = id.is_some();
            // The `live` comment has an id, too: the position of the stream, in case it breaks before the
            // next event.
            self.last = id.or(self.last.take());
            if let Some(data) = data.filter(|_| has_id) {
                (self.tries, give_up) = (0, Instant::now() + PATIENCE);
                let seen = seen(data).map_err(|error| Failure::Options(format!("{}: {error}", self.url)))?;
                if self.topics.contains(&seen.topic) {
                    return Ok(Next::Record(seen));
                }
            } else if comment.as_deref() == Some("live") {
                self.tries = 0;
                if !std::mem::replace(&mut self.caught_up, true) {
                    return Ok(Next::CaughtUp);
                }
            }
        }
    }

    /// The next frame; `None` if the log is another one than before. Its first event is next.
    async fn frame(&mut self) -> Result<Option<Frame>, Failure> {
        loop {
            let frame = self.frames.next();
            if let Some(frame) = frame.map_err(|error| Failure::Options(format!("{}: {error}", self.url)))? {
                return Ok(Some(frame));
            }
            let why = match self.response.chunk().await {
                Ok(Some(piece)) => {
                    self.frames.push(&piece);
                    continue;
                }
                Ok(None) => "it ended".to_owned(),
                Err(error) => cause(&error),
            };
            if self.connect_again(why).await? {
                return Ok(None);
            }
        }
    }

    /// Resumes after the last event, as soon as that is possible. Returns whether the stream begins anew with
    /// the first event instead, because the last one means nothing there. `why` is why the stream ended,
    /// until a try gives another reason.
    async fn connect_again(&mut self, mut why: String) -> Result<bool, Failure> {
        // The rest is the beginning of a frame that comes again as a whole.
        self.frames = Frames::new();
        loop {
            self.tries += 1;
            if self.tries > TRIES {
                return Err(Failure::Options(format!("{}: {why}", self.url)));
            }
            tokio::time::sleep(PAUSE).await;
            let mut request = self.client.get(self.url.clone());
            if let Some(last) = &self.last {
                request = request.header("last-event-id", last);
            }
            match request.send().await {
                Err(error) => why = cause(&error),
                Ok(response) if response.status() == StatusCode::GONE => {
                    self.last = None;
                    self.url.set_query(Some("from=start"));
                    self.anew = true;
                    "it begins anew".clone_into(&mut why);
                }
                Ok(response) => {
                    let Some(objection) = objection(&response) else {
                        self.response = response;
                        return Ok(std::mem::take(&mut self.anew));
                    };
                    why = format!("it {objection}");
                }
            }
        }
    }
}

/// Why a response is not an event stream.
fn objection(response: &Response) -> Option<String> {
    if response.status() != StatusCode::OK {
        return Some(format!("answers {}", response.status()));
    }
    let kind = response.headers().get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
    let kind = kind.as_deref().unwrap_or("nothing that it names");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let is_stream = essence.eq_ignore_ascii_case("text/event-stream");
    (!is_stream).then(|| format!("answers with {kind}, not with events: no `kbnt serve` is there"))
}

/// An event that cannot be identified.
#[derive(Debug, Error)]
enum Unknown {
    #[error("an event is not as it should be: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("an event is of a topic that this release does not know: {0}")]
    Topic(String),
}

fn seen(data: String) -> Result<Seen, Unknown> {
    let Place { topic, partition, offset } = serde_json::from_str(&data)?;
    let topic = Topic::from_name(&topic).ok_or(Unknown::Topic(topic))?;
    Ok(Seen::new(Position { topic, partition, offset }, data.into_bytes()))
}

/// A client for streams that stay open.
pub(super) fn client(url: &Url) -> Result<Client, Failure> {
    kbnt_adapters::outbound::streaming_client_to(url).map_err(Failure::from)
}

/// `path` below `url`.
pub(super) fn at(url: &Url, path: &str) -> Result<Url, Failure> {
    let text = format!("{}/{path}", url.as_str().trim_end_matches('/'));
    text.parse().map_err(|error| Failure::Options(format!("{text}: {error}")))
}

/// The server is not there.
pub(super) fn away(url: &Url, error: &reqwest::Error) -> Failure {
    Failure::Options(format!("{url}: {}; is `kbnt serve` or `kbnt simulator` running there?", cause(error)))
}

/// The innermost cause of an error.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
