//! From the server-sent events of a running `kbnt serve`.

use std::time::Duration;

use kbnt_application::{Position, Topic};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;

use super::frames::{Frame, Frames};
use super::{From, Next, Seen};
use crate::failure::Failure;

/// The pause before a connection that broke is made again.
const PAUSE: Duration = Duration::from_millis(500);

/// Times that a connection is made again without any event in between.
const TRIES: u32 = 20;

/// An open stream.
pub(crate) struct Events {
    client: Client,
    url: Url,
    topics: Vec<Topic>,
    response: Response,
    frames: Frames,
    last: Option<String>,
    told: bool,
}

/// Where the event of a data line lies.
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
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(Failure::Options(format!("{events} answers {status}"))),
        }
        let topics = topics.to_vec();
        Ok(Some(Self {
            client,
            url: events,
            topics,
            response,
            frames: Frames::new(),
            last: None,
            told: false,
        }))
    }

    pub(super) async fn next(&mut self) -> Result<Next, Failure> {
        loop {
            let Some(Frame { id, data, comment }) = self.frame().await? else {
                self.told = false;
                return Ok(Next::Anew);
            };
            let has_id = id.is_some();
            // The comment that all is read has an id, too: where the stream stands, if no event comes before it breaks.
            self.last = id.or(self.last.take());
            if let Some(data) = data.filter(|_| has_id) {
                if let Some(seen) = seen(data).filter(|seen| self.topics.contains(&seen.topic)) {
                    return Ok(Next::Record(seen));
                }
            } else if comment.as_deref() == Some("live") && !self.told {
                self.told = true;
                return Ok(Next::CaughtUp);
            }
        }
    }

    /// The next frame; `None` where the log is another one than before, of which the first comes next.
    async fn frame(&mut self) -> Result<Option<Frame>, Failure> {
        let mut tries = 0;
        loop {
            let frame = self.frames.next();
            if let Some(frame) = frame.map_err(|error| Failure::Options(format!("{}: {error}", self.url)))? {
                return Ok(Some(frame));
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.frames.push(&piece),
                ended => {
                    tries += 1;
                    if tries > TRIES {
                        let reason = ended.err().map_or("it ended".to_owned(), |error| error.to_string());
                        return Err(Failure::Options(format!("{}: {reason}", self.url)));
                    }
                    tokio::time::sleep(PAUSE).await;
                    if self.reconnect().await {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Goes on after the last event; if that fails now, it is tried again. Whether that event means nothing there: then it
    /// begins anew, with the first event that there is.
    async fn reconnect(&mut self) -> bool {
        // What is left is the beginning of a frame that comes again as a whole.
        self.frames = Frames::new();
        let mut request = self.client.get(self.url.clone());
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let Ok(response) = request.send().await else { return false };
        match response.status() {
            StatusCode::OK => self.response = response,
            StatusCode::GONE => {
                self.last = None;
                self.url.set_query(Some("from=start"));
                return true;
            }
            _ => {}
        }
        false
    }
}

fn seen(data: String) -> Option<Seen> {
    let place: Place = serde_json::from_str(&data).ok()?;
    let topic = Topic::from_name(&place.topic)?;
    let at = Position { topic, partition: place.partition, offset: place.offset };
    Some(Seen::new(at, data.into_bytes()))
}

/// A client for streams that stay open.
pub(super) fn client(url: &Url) -> Result<Client, Failure> {
    kbnt_infrastructure::outbound::streaming_client_to(url).map_err(Failure::from)
}

/// `path` below `url`.
pub(super) fn at(url: &Url, path: &str) -> Result<Url, Failure> {
    let text = format!("{}/{path}", url.as_str().trim_end_matches('/'));
    text.parse().map_err(|error| Failure::Options(format!("{text}: {error}")))
}

/// Nobody is there.
pub(super) fn away(url: &Url, error: &reqwest::Error) -> Failure {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Failure::Options(format!("{url}: {cause}; is `kbnt serve` or `kbnt simulator` running there?"))
}
