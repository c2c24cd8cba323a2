//! One log line.

use std::fmt::{Debug, Display};

use kbnt_application::Service;
use kbnt_domain::Timestamp;
use serde_json::{Map, Value, json};
use tracing::Level;
use tracing::field::{Field, Visit};
use uuid::Uuid;

use crate::text::rfc3339;

/// What a line says besides its level.
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
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut text, word| {
        let mut letters = word.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
        text
    })
}

/// The line as one JSON object, without the end of the line.
pub(super) fn write(
    level: Level,
    target: &str,
    service: Option<Service>,
    fields: Fields,
    at: Timestamp,
) -> String {
    let mut payload = fields.payload;
    payload.insert("target".to_owned(), target.into());
    json!({
        "eventId": Uuid::new_v4().to_string(),
        "timestamp": rfc3339(at),
        "eventType": "IntegrationEvent",
        "eventName": "LogLine",
        "eventVersion": 1,
        "service": service.map_or("kbnt", Service::name),
        "level": level.as_str(),
        "hexagonal_layer": service.map_or("infrastructure", |service| service.layer().name()),
        "domain": service.map_or("platform", Service::domain),
        "operation": fields.operation.as_deref().unwrap_or("log"),
        "correlationId": fields.order,
        "payload": payload,
    })
    .to_string()
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
