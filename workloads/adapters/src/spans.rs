//! Spans for an OpenTelemetry collector: one for each event that is written, so that an order is one trace,
//! from the request to the audit record.
//!
//! The ids are those in the `traceparent` of the records, so a record leads to its span and a span to its
//! record. A span lasts from the decision until the record is durable. If the collector is unavailable, spans
//! are dropped: nothing waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kbnt_application::intact::{Bounds, TopicId};
use kbnt_application::message::{Classification, Message};
use kbnt_application::ports::{EventLog, GroupReader, LogError, LogReader};
use kbnt_application::{Append, Position, Service, Topic};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};

use reqwest::Url;
use thiserror::Error;

use crate::address::is_loopback;
use crate::outbound;

/// The path for spans below a collector's base URL.
const PATH: &str = "/v1/traces";

/// How long a batch may take.
const SEND: Duration = Duration::from_secs(10);

/// How long flushing the last spans may take.
const LAST: Duration = Duration::from_secs(2);

/// Why spans cannot be sent.
#[derive(Debug, Error)]
pub enum SpansError {
    /// The exporter refuses its settings.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] reqwest::Error),
    /// The thread cannot be started.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The span processors, by service.
#[derive(Debug)]
pub struct Spans(HashMap<Service, BatchSpanProcessor>);

impl Spans {
    /// Sends the spans of `services` to the collector at the base URL `endpoint`, in batches and in the
    /// background.
    pub fn to(endpoint: &Url, services: &[Service]) -> Result<Self, SpansError> {
        outbound::install_crypto();
        let url = format!("{}{PATH}", endpoint.as_str().trim_end_matches('/'));
        let client = client(endpoint)?;
        let processor = |service: Service| {
            let exporter = SpanExporter::builder()
                .with_http()
                .with_http_client(client.clone())
                .with_endpoint(&url)
                .build()?;
            let mut processor = BatchSpanProcessor::builder(exporter).build();
            processor.set_resource(&Resource::builder().with_service_name(service.name()).build());
            Ok((service, processor))
        };
        services.iter().copied().map(processor).collect::<Result<_, _>>().map(Self)
    }

    /// Sends the remaining spans; it may take some seconds.
    pub fn flush(&self) {
        for (service, processor) in &self.0 {
            if let Err(error) = processor.shutdown_with_timeout(LAST) {
                tracing::warn!(service = service.name(), %error, "the last spans were not sent");
            }
        }
    }

    fn written(&self, message: &Message, at: Position) {
        if let Some(processor) = self.0.get(&message.service)
            && message.trace.sampled
        {
            processor.on_end(span(message, at, SystemTime::now()));
        }
    }
}

/// The client for spans, with the same proxies as other outbound calls. It must be made outside of a runtime.
fn client(endpoint: &Url) -> Result<reqwest::blocking::Client, SpansError> {
    let direct = is_loopback(endpoint);
    let build = move || {
        let builder = reqwest::blocking::Client::builder().timeout(SEND);
        if direct { builder.no_proxy().build() } else { builder.build() }
    };
    let client = std::thread::Builder::new().spawn(build)?.join();
    Ok(client.map_err(|_| std::io::Error::other("the thread that makes the HTTP client panicked"))??)
}

/// The span of a record at `at`, which became durable at `end`.
fn span(message: &Message, at: Position, end: SystemTime) -> SpanData {
    let trace = message.trace;
    let context = |span: u64| {
        SpanContext::new(
            TraceId::from_bytes(trace.trace_id.to_be_bytes()),
            SpanId::from_bytes(span.to_be_bytes()),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        )
    };
    let parent = message
        .cause
        .map_or(SpanId::INVALID, |cause| SpanId::from_bytes(trace.child(&cause).span_id.to_be_bytes()));
    let start = UNIX_EPOCH + Duration::from_millis(u64::try_from(message.at.as_millis()).unwrap_or(0));
    SpanData {
        span_context: context(trace.span_id),
        parent_span_id: parent,
        parent_span_is_remote: message.cause.is_some(),
        span_kind: SpanKind::Producer,
        name: Classification::of(&message.event).name.into(),
        start_time: start.min(end),
        end_time: end,
        attributes: vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", at.topic.name()),
            KeyValue::new("messaging.destination.partition.id", at.partition.to_string()),
            KeyValue::new("messaging.kafka.offset", i64::try_from(at.offset).unwrap_or(i64::MAX)),
            KeyValue::new("messaging.message.id", message.id.to_string()),
        ],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("kbnt")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

/// A log that makes a span of every record written through it.
pub struct Traced {
    log: Arc<dyn EventLog>,
    spans: Arc<Spans>,
}

impl Traced {
    /// Sends a span to `spans` for every record written to `log`.
    pub fn new(log: Arc<dyn EventLog>, spans: Arc<Spans>) -> Self {
        Self { log, spans }
    }
}

#[async_trait]
impl EventLog for Traced {
    async fn append(&self, batch: Vec<Append>) -> Result<Vec<Position>, LogError> {
        let messages: Vec<_> = batch.iter().map(|append| Arc::clone(&append.message)).collect();
        let positions = self.log.append(batch).await?;
        for (message, at) in messages.iter().zip(&positions) {
            self.spans.written(message, *at);
        }
        Ok(positions)
    }

    fn pace(&self) -> kbnt_domain::Span {
        self.log.pace()
    }

    async fn bounds(&self, topic: Topic, partition: u32) -> Result<Bounds, LogError> {
        self.log.bounds(topic, partition).await
    }

    async fn topic_id(&self, topic: Topic) -> Result<TopicId, LogError> {
        self.log.topic_id(topic).await
    }

    async fn read(&self, from: Vec<Position>) -> Result<Box<dyn LogReader>, LogError> {
        self.log.read(from).await
    }

    fn with_bytes(&self) -> Arc<dyn EventLog> {
        Arc::new(Self::new(self.log.with_bytes(), Arc::clone(&self.spans)))
    }

    async fn join(&self, service: Service) -> Result<Box<dyn GroupReader>, LogError> {
        self.log.join(service).await
    }
}
