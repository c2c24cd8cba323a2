//! Turns tracing events into log lines.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kbnt_application::ports::RawRecord;
use kbnt_application::{Service, Topic};
use kbnt_domain::Timestamp;
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Shipping;
use super::line::{self, Fields};
use kbnt_wire::raw::RawAppend;

/// Messages of the Kafka client about itself go to stdout only: there are most of them when Kafka is
/// unavailable.
const NOT_SHIPPED: &[&str] = &["rdkafka", "librdkafka"];

/// Writes each event as a line, and offers a copy to application-logs.
pub(super) struct JsonLayer<W> {
    writer: W,
    service: Option<Service>,
    shipping: Arc<Shipping>,
}

impl<W> JsonLayer<W> {
    pub(super) fn new(writer: W, service: Option<Service>, shipping: Arc<Shipping>) -> Self {
        Self { writer, service, shipping }
    }
}

impl<S, W> Layer<S> for JsonLayer<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let (Some(span), Some(service)) = (context.span(id), fields.service) {
            span.extensions_mut().insert(service);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let of_span = || {
            let mut spans = context.event_scope(event)?;
            spans.find_map(|span| span.extensions().get::<Service>().copied())
        };
        let service = fields.service.or_else(of_span).or(self.service);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = Timestamp::from_millis(i64::try_from(now).unwrap_or(i64::MAX));
        let target = event.metadata().target();
        // Only a value that JSON cannot express could fail here, and there is none.
        let Ok(mut line) = line::write(*event.metadata().level(), target, service, &fields, now) else {
            return;
        };
        line.push('\n');
        // A missing reader is no reason to stop.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
        line.pop();
        if !NOT_SHIPPED.iter().any(|prefix| target.starts_with(prefix)) {
            self.ship(service, line.into_bytes(), now);
        }
    }
}

impl<W> JsonLayer<W> {
    fn ship(&self, service: Option<Service>, line: Vec<u8>, at: Timestamp) {
        let log = self.shipping.log.read().unwrap_or_else(PoisonError::into_inner);
        let Some(log) = log.as_ref() else { return };
        let record = RawRecord {
            key: Some(service.map_or("kbnt", Service::name).as_bytes().to_vec()),
            value: Some(line),
            headers: vec![("content-type".to_owned(), Some(b"application/json".to_vec()))],
            at,
        };
        if !log.offer(RawAppend { topic: Topic::ApplicationLogs, to: None, record }) {
            self.shipping.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use kbnt_application::Position;
    use kbnt_application::ports::LogError;
    use serde_json::Value;
    use std::sync::Mutex;
    use tracing_subscriber::layer::SubscriberExt;

    use kbnt_wire::raw::RawLog;

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Accepts two lines and refuses more.
    #[derive(Default)]
    struct Small(Mutex<Vec<RawAppend>>);

    #[async_trait]
    impl RawLog for Small {
        async fn append_raw(&self, _batch: Vec<RawAppend>) -> Result<Vec<Position>, LogError> {
            Err(LogError::Unavailable("only offers".into()))
        }

        fn offer(&self, append: RawAppend) -> bool {
            let mut taken = self.0.lock().unwrap();
            let room = taken.len() < 2;
            if room {
                taken.push(append);
            }
            room
        }
    }

    #[test]
    fn what_could_play_with_a_terminal_is_escaped_in_either_form() {
        const EVIL: &str = "\u{1b}[2J\u{85}\u{9b}31m\u{202e}\nx";
        let (json, text) = (Kept::default(), Kept::default());
        let (to_json, to_text) = (json.clone(), text.clone());
        let layer = JsonLayer::new(move || to_json.clone(), None, Arc::new(Shipping::default()));
        let layer = super::super::text_layer(move || to_text.clone(), false).and_then(layer);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let error = std::io::Error::other(EVIL);
            tracing::info_span!("run", service = EVIL).in_scope(|| {
                tracing::warn!(error = %error, text = EVIL, cause = &error as &dyn std::error::Error, "told {EVIL}");
            });
        });
        let [json, text] =
            [json, text].map(|kept| String::from_utf8(kept.0.lock().unwrap().clone()).unwrap());
        for shown in [&json, &text] {
            assert!(shown.trim_end_matches('\n').chars().all(kbnt_wire::text::is_plain), "{shown:?}");
        }
        let line: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(line["payload"]["error"], EVIL, "it says the same");
        assert!(text.contains("told \\u{1b}[2J\\u{85}\\u{9b}31m\\u{202e}\\nx error=\\u{1b}[2J"), "{text}");
    }

    #[test]
    fn lines_have_the_documented_shape_and_go_to_application_logs_until_it_is_full() {
        let (small, shipping) = (Arc::new(Small::default()), Arc::new(Shipping::default()));
        *shipping.log.write().unwrap() = Some(Arc::clone(&small) as Arc<dyn RawLog>);
        let out = Kept::default();
        let writer = out.clone();
        let layer = JsonLayer::new(move || writer.clone(), Some(Service::Order), Arc::clone(&shipping));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(operation = "test", order = %"o-1", units_left = 3, "hello");
            tracing::info_span!("run", service = "inventory-service")
                .in_scope(|| tracing::warn!("in a span"));
            tracing::error!(target: "rdkafka::client", "not shipped");
            tracing::error!("no place left");
        });
        let out = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        for (pointer, expected) in [
            ("/eventType", "IntegrationEvent"),
            ("/service", "order-service"),
            ("/level", "INFO"),
            ("/hexagonal_layer", "application"),
            ("/domain", "order"),
            ("/operation", "test"),
            ("/correlationId", "o-1"),
            ("/payload/message", "hello"),
        ] {
            assert_eq!(lines[0].pointer(pointer).unwrap(), expected, "{pointer}");
        }
        assert_eq!(lines[0]["payload"]["unitsLeft"], 3);
        assert_eq!(lines[1]["service"], "inventory-service");
        let shipped = small.0.lock().unwrap();
        assert_eq!(shipped[1].record.key.as_deref(), Some(&b"inventory-service"[..]));
        assert_eq!(shipped[0].record.value.as_deref(), out.lines().next().map(str::as_bytes));
        assert_eq!(shipping.dropped.load(Ordering::Relaxed), 1);
    }
}
