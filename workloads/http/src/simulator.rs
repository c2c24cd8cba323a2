//! A broker of seven topics to play with: the REST view of an event broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use kbnt_application::ports::{Clock, RawRecord};
use kbnt_application::{Position, Topic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api;
use super::body::JsonBody;
use super::dto::object;
use super::params::{Id, Params};
use super::problem::{Code, Problem, log_failed};
use kbnt_wire::raw::{BrowsableLog, RawAppend};
use kbnt_wire::text::rfc3339;

/// Messages per page: the default for `limit`, and its maximum.
const READ: (usize, usize) = (100, 1000);

/// A page ends after this many bytes.
const PAGE_BYTES: usize = 4 << 20;

/// Messages that are read at once, to see how large they are.
const PORTION: usize = 8;

/// The largest key, in bytes.
const KEY_MOST: usize = 1024;

/// The header that says how a value is to be shown.
const CONTENT_TYPE: &str = "content-type";

struct Broker {
    log: Arc<dyn BrowsableLog>,
    clock: Arc<dyn Clock>,
    started: Instant,
    /// Messages without a key go round the partitions.
    turn: AtomicU32,
}

type Shared = State<Arc<Broker>>;

/// The routes of the simulator.
pub fn simulator(log: Arc<dyn BrowsableLog>, clock: Arc<dyn Clock>) -> Router {
    let broker = Broker { log, clock, started: Instant::now(), turn: AtomicU32::new(0) };
    let routes = Router::new()
        .route("/", get(cluster))
        .route("/cluster", get(cluster))
        .route("/topics", get(topics))
        .route("/topics/{topic}", get(topic))
        .route("/topics/{topic}/messages", get(messages).post(produce))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Arc::new(broker));
    api::with_fallbacks(routes)
}

/// One of the seven topics.
#[derive(Clone, Copy, Debug)]
struct Named(Topic);

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = || Topic::ALL.map(Topic::name).join(", ");
        Topic::from_name(name).map(Self).ok_or_else(|| format!("no such topic; there are {}", known()))
    }
}

#[derive(Serialize)]
struct TopicBody {
    name: &'static str,
    partitions: Vec<PartitionBody>,
    messages: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartitionBody {
    partition: u32,
    leader: u32,
    /// The offset of the first message.
    start_offset: u64,
    /// The offset of the next message.
    end_offset: u64,
}

#[derive(Serialize)]
struct TopicPage {
    topics: Vec<TopicBody>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClusterBody {
    cluster_id: &'static str,
    brokers: [BrokerBody; 1],
    topics: usize,
    partitions: u32,
    messages: u64,
    uptime_seconds: u64,
}

#[derive(Serialize)]
struct BrokerBody {
    id: u32,
    host: &'static str,
}

/// A message to be written.
#[derive(Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
struct ProduceBody {
    #[serde(default)]
    key: Option<String>,
    value: Value,
    #[serde(default)]
    partition: Option<u32>,
}

object!(ProduceBody);

/// A message in the log.
#[derive(Serialize)]
struct MessageBody {
    topic: &'static str,
    partition: u32,
    offset: u64,
    timestamp: String,
    key: Option<String>,
    value: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessagePage {
    messages: Vec<MessageBody>,
    /// For the next page.
    next_offset: u64,
    /// The offset after the last existing message.
    end_offset: u64,
}

fn failed(error: &kbnt_application::ports::LogError) -> Problem {
    log_failed(Code::NotReady, error)
}

impl Broker {
    async fn describe(&self, topic: Topic) -> Result<TopicBody, Problem> {
        let mut partitions = Vec::new();
        for partition in 0..topic.partitions() {
            let end_offset = self.log.bounds(topic, partition).await.map_err(|error| failed(&error))?.end;
            partitions.push(PartitionBody { partition, leader: 0, start_offset: 0, end_offset });
        }
        let messages = partitions.iter().map(|partition| partition.end_offset).sum();
        Ok(TopicBody { name: topic.name(), partitions, messages })
    }
}

async fn topics(State(broker): Shared, params: Params) -> Result<Json<TopicPage>, Problem> {
    params.only(&[])?;
    let mut topics = Vec::new();
    for topic in Topic::ALL {
        topics.push(broker.describe(topic).await?);
    }
    Ok(Json(TopicPage { topics }))
}

async fn topic(
    State(broker): Shared,
    Id(Named(topic)): Id<Named>,
    params: Params,
) -> Result<Json<TopicBody>, Problem> {
    params.only(&[])?;
    Ok(Json(broker.describe(topic).await?))
}

async fn cluster(State(broker): Shared, params: Params) -> Result<Json<ClusterBody>, Problem> {
    params.only(&[])?;
    let mut messages = 0;
    for topic in Topic::ALL {
        messages += broker.describe(topic).await?.messages;
    }
    Ok(Json(ClusterBody {
        cluster_id: "kbnt-simulator",
        brokers: [BrokerBody { id: 0, host: "localhost" }],
        topics: Topic::ALL.len(),
        partitions: Topic::ALL.into_iter().map(Topic::partitions).sum(),
        messages,
        uptime_seconds: broker.started.elapsed().as_secs(),
    }))
}

async fn produce(
    State(broker): Shared,
    Id(Named(topic)): Id<Named>,
    params: Params,
    JsonBody(body): JsonBody<ProduceBody>,
) -> Result<(StatusCode, Json<MessageBody>), Problem> {
    params.only(&[])?;
    if body.key.as_ref().is_some_and(|key| key.len() > KEY_MOST) {
        return Err(Problem::field("key", format!("at most {KEY_MOST} bytes")));
    }
    let to = match (body.partition, &body.key) {
        (Some(partition), _) if partition >= topic.partitions() => {
            return Err(Problem::field("partition", format!("{} has {}", topic.name(), topic.partitions())));
        }
        (Some(partition), _) => Some(partition),
        (None, Some(_)) => None,
        (None, None) => Some(broker.turn.fetch_add(1, Ordering::Relaxed) % topic.partitions()),
    };
    let at = broker.clock.now();
    let (content_type, value) = match &body.value {
        Value::String(text) => ("text/plain", text.clone().into_bytes()),
        value => ("application/json", value.to_string().into_bytes()),
    };
    let record = RawRecord {
        key: body.key.clone().map(String::into_bytes),
        value: Some(value),
        headers: vec![(CONTENT_TYPE.to_owned(), Some(content_type.as_bytes().to_vec()))],
        at,
    };
    let positions =
        broker.log.append_raw(vec![RawAppend { topic, to, record }]).await.map_err(|error| failed(&error))?;
    let Some(position) = positions.first() else {
        return Err(Problem::new(Code::OutcomeUnknown, "the log did not say where the message lies"));
    };
    let message = MessageBody {
        topic: topic.name(),
        partition: position.partition,
        offset: position.offset,
        timestamp: rfc3339(at),
        key: body.key,
        value: body.value,
    };
    Ok((StatusCode::CREATED, Json(message)))
}

async fn messages(
    State(broker): Shared,
    Id(Named(topic)): Id<Named>,
    params: Params,
) -> Result<Json<MessagePage>, Problem> {
    let params = params.only(&["partition", "offset", "limit"])?;
    let partition = params.get::<u32>("partition")?.unwrap_or(0);
    if partition >= topic.partitions() {
        return Err(Problem::field("partition", format!("{} has {}", topic.name(), topic.partitions())));
    }
    let offset = params.get::<u64>("offset")?.unwrap_or(0);
    let limit = params.number("limit", READ.0, READ.1)?;
    let end_offset = broker.log.bounds(topic, partition).await.map_err(|error| failed(&error))?.end;
    let mut records = Vec::new();
    let (mut from, mut bytes) = (offset, 0);
    while from < end_offset && records.len() < limit && bytes < PAGE_BYTES {
        let portion = PORTION.min(limit - records.len());
        let more = broker.log.read_raw(topic, partition, from, portion).map_err(|error| failed(&error))?;
        let Some((last, _)) = more.last() else { break };
        from = last + 1;
        bytes += more.iter().map(|(_, record)| record.size()).sum::<usize>();
        records.extend(more);
    }
    let next_offset = records.last().map_or(offset, |(last, _)| last + 1);
    let messages = records
        .into_iter()
        .map(|(offset, record)| message(Position { topic, partition, offset }, &record))
        .collect();
    Ok(Json(MessagePage { messages, next_offset, end_offset }))
}

fn message(at: Position, record: &RawRecord) -> MessageBody {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let is_text = record
        .headers
        .iter()
        .any(|(name, value)| name == CONTENT_TYPE && value.as_deref() == Some(b"text/plain".as_slice()));
    let value = match record.value.as_deref() {
        None => Value::Null,
        Some(bytes) if is_text => Value::String(text(bytes)),
        Some(bytes) => serde_json::from_slice(bytes).unwrap_or_else(|_| Value::String(text(bytes))),
    };
    MessageBody {
        topic: at.topic.name(),
        partition: at.partition,
        offset: at.offset,
        timestamp: rfc3339(record.at),
        key: record.key.as_deref().map(text),
        value,
    }
}
