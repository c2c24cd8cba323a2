//! One log line.

use std::fmt::{Debug, Display};

use kbnt_application::Service;
use kbnt_application::message::{EventType, Layer};
use kbnt_domain::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::Level;
use tracing::field::{Field, Visit};
use uuid::Uuid;

use kbnt_wire::text::{plain_json, rfc3339};

/// The content of a line besides its level.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) service: Option<Service>,
    operation: Option<String>,
    order: Option<String>,
    payload: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), &value) {
            ("service", Value::String(name)) => match Service::from_name(name) {
                Some(service) => self.service = Some(service),
                None => drop(self.payload.insert("service".to_owned(), value)),
            },
            ("operation", Value::String(name)) => self.operation = Some(name.clone()),
            ("order", Value::String(order)) => self.order = Some(order.clone()),
            (name, _) => drop(self.payload.insert(camel_case(name), value)),
        }
    }

    fn put_text(&mut self, field: &Field, text: &dyn Display) {
        self.put(field, Value::String(text.to_string()));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put_text(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_text(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put_text(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |mut text, part| {
        let mut characters = part.chars();
        text.extend(characters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(characters.as_str());
        text
    })
}

/// A line in its JSON form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    event_id: String,
    timestamp: String,
    event_type: &'static str,
    event_name: &'static str,
    event_version: u32,
    service: &'static str,
    level: &'static str,
    #[serde(rename = "hexagonal_layer")]
    hexagonal_layer: &'static str,
    domain: &'static str,
    operation: &'a str,
    correlation_id: Option<&'a str>,
    payload: Payload<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    target: &'a str,
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
}

/// The line as one JSON object, without the end of the line.
pub(super) fn write(
    level: Level,
    target: &str,
    service: Option<Service>,
    fields: &Fields,
    at: Timestamp,
) -> serde_json::Result<String> {
    let line = serde_json::to_string(&Line {
        event_id: Uuid::new_v4().to_string(),
        timestamp: rfc3339(at),
        event_type: EventType::Integration.name(),
        event_name: "LogLine",
        event_version: 1,
        service: service.map_or("kbnt", Service::name),
        level: level.as_str(),
        hexagonal_layer: service.map_or(Layer::Infrastructure, Service::layer).name(),
        domain: service.map_or("platform", Service::domain),
        operation: fields.operation.as_deref().unwrap_or("log"),
        correlation_id: fields.order.as_deref(),
        payload: Payload { target, fields: &fields.payload },
    })?;
    // The reader may show it on a terminal.
    Ok(plain_json(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_camel_case() {
        for (name, expected) in [("message", "message"), ("took_ms", "tookMs"), ("a_b_c", "aBC")] {
            assert_eq!(camel_case(name), expected);
        }
    }
}
