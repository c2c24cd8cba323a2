//! Reads from a running `kbnt simulator` by polling.

use std::collections::VecDeque;
use std::time::Duration;

use kbnt_application::{Position, Topic};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;

use super::sse::{at, away, client};
use super::{From, Next, Seen};
use crate::failure::Failure;

/// The pause after a round without new records.
const PAUSE: Duration = Duration::from_millis(250);

/// A simulator that is being read.
pub(crate) struct Polled {
    client: Client,
    url: Url,
    next: Vec<Position>,
    ready: VecDeque<Seen>,
    caught_up: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    messages: Vec<Message>,
    next_offset: u64,
    end_offset: u64,
}

#[derive(Deserialize)]
struct Message {
    offset: u64,
    value: Value,
}

impl Polled {
    pub(super) async fn open(url: &Url, topics: &[Topic], from: From) -> Result<Self, Failure> {
        let start = |topic: &Topic| {
            let topic = *topic;
            (0..topic.partitions()).map(move |partition| Position { topic, partition, offset: 0 })
        };
        let next = topics.iter().flat_map(start).collect();
        let mut polled =
            Self { client: client(url)?, url: url.clone(), next, ready: VecDeque::new(), caught_up: false };
        if from == From::Now {
            for index in 0..polled.next.len() {
                polled.next[index].offset = polled.page(polled.next[index]).await?.end_offset;
            }
        }
        Ok(polled)
    }

    pub(super) async fn next(&mut self) -> Result<Next, Failure> {
        loop {
            if let Some(seen) = self.ready.pop_front() {
                return Ok(Next::Record(seen));
            }
            self.round().await?;
            if self.ready.is_empty() {
                if !self.caught_up {
                    self.caught_up = true;
                    return Ok(Next::CaughtUp);
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn round(&mut self) -> Result<(), Failure> {
        for index in 0..self.next.len() {
            let at = self.next[index];
            let page = self.page(at).await?;
            self.next[index].offset = page.next_offset;
            self.ready.extend(page.messages.into_iter().map(|message| {
                let at = Position { offset: message.offset, ..at };
                Seen::new(at, message.value.to_string().into_bytes())
            }));
        }
        Ok(())
    }

    async fn page(&self, from: Position) -> Result<Page, Failure> {
        let path = format!(
            "topics/{}/messages?partition={}&offset={}&limit=1000",
            from.topic.name(),
            from.partition,
            from.offset
        );
        let response = self.client.get(at(&self.url, &path)?).send().await;
        let response = response.and_then(reqwest::Response::error_for_status);
        let page = response.map_err(|error| away(&self.url, &error))?.json().await;
        page.map_err(|error| away(&self.url, &error))
    }
}
