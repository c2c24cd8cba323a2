//! One event as one coloured line.

use std::fmt;

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use crate::origin::Seen;
use crate::output::plain;

/// The most characters that are shown of a payload.
const PAYLOAD_MOST: usize = 140;

/// The most characters of any other field.
const FIELD_MOST: usize = 64;

/// Events that deserve attention whatever their level.
const ALARMING: &[&str] =
    &["LowStockEvent", "ReservationLostEvent", "NotificationFailedEvent", "DeadLetterStored"];

/// The line for an event: plain text on one line, whatever the record contains.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) topic: &'static str,
    partition: u32,
    offset: u64,
    time: String,
    pub(super) service: String,
    pub(super) level: String,
    pub(super) layer: String,
    event: String,
    about: String,
    payload: String,
    pub(super) alert: bool,
}

impl Line {
    pub(super) fn new(seen: &Seen) -> Self {
        let value: Option<Map<String, Value>> = serde_json::from_slice(&seen.value).ok();
        let Some(value) = value.filter(|value| value.contains_key("eventName")) else {
            return Self::foreign(seen);
        };
        let text = |name: &str| shortened(value.get(name).and_then(Value::as_str).unwrap_or("-"), FIELD_MOST);
        let (level, event) = (text("level"), text("eventName"));
        Self {
            topic: seen.topic.name(),
            partition: seen.partition,
            offset: seen.offset,
            time: text("timestamp").get(11..23).unwrap_or("-").to_owned(),
            service: text("service"),
            layer: text("hexagonal_layer"),
            alert: level == "ERROR" || ALARMING.contains(&event.as_str()),
            level,
            event,
            about: text("correlationId"),
            payload: value.get("payload").map(payload).unwrap_or_default(),
        }
    }

    /// A record that is not one of our events.
    fn foreign(seen: &Seen) -> Self {
        let unknown = || "-".to_owned();
        Self {
            topic: seen.topic.name(),
            partition: seen.partition,
            offset: seen.offset,
            time: unknown(),
            service: unknown(),
            level: unknown(),
            layer: unknown(),
            event: "(no event)".to_owned(),
            about: unknown(),
            payload: shortened(&String::from_utf8_lossy(&seen.value), PAYLOAD_MOST),
            alert: false,
        }
    }
}

/// The fields of a payload, as far as they fit.
fn payload(payload: &Value) -> String {
    let Value::Object(fields) = payload else { return shortened(&payload.to_string(), PAYLOAD_MOST) };
    let field = |(name, value): (&String, &Value)| match value {
        Value::String(text) => format!("{name}={text}"),
        value => format!("{name}={value}"),
    };
    let said = fields.iter().filter(|(name, _)| name.as_str() != "orderId" && name.as_str() != "target");
    shortened(&said.map(field).collect::<Vec<_>>().join(" "), PAYLOAD_MOST)
}

/// The first characters of `text`, as plain text.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", plain(&text[..end])),
        None => plain(text),
    }
}

fn of_layer(layer: &str) -> Style {
    match layer {
        "domain" => AnsiColor::Blue.on_default(),
        "application" => AnsiColor::Yellow.on_default(),
        "infrastructure" => AnsiColor::Green.on_default(),
        _ => Style::new(),
    }
}

fn of_level(level: &str) -> Style {
    match level {
        "WARN" => AnsiColor::Yellow.on_default(),
        "ERROR" => AnsiColor::Red.on_default().bold(),
        _ => Style::new().dimmed(),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (layer, level, faint) = (of_layer(&self.layer), of_level(&self.level), Style::new().dimmed());
        let place = format!("{}/{}@{}", self.topic, self.partition, self.offset);
        write!(
            f,
            "{faint}{:<12}{faint:#} {level}{:<5}{level:#} {layer}{:<20}{layer:#} {:<28} {faint}{place:<26} {:<36}{faint:#} {}",
            self.time, self.level, self.service, self.event, self.about, self.payload
        )?;
        if self.alert {
            let alert = AnsiColor::Red.on_default().bold();
            write!(f, " {alert}ALERT{alert:#}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbnt_application::{Position, Topic};

    fn line(value: &str) -> Line {
        let at = Position { topic: Topic::InventoryEvents, partition: 1, offset: 7 };
        Line::new(&Seen::new(at, value.as_bytes().to_vec()))
    }

    #[test]
    fn an_event_is_one_line() {
        let shown = line(
            r#"{"eventName":"LowStockEvent","timestamp":"2026-01-31T12:00:00.123Z","service":"inventory-service",
                "level":"WARN","hexagonal_layer":"domain","correlationId":"PROD-001","payload":{"available":3}}"#,
        );
        assert!(shown.alert);
        let text = anstream::adapter::strip_str(&shown.to_string()).to_string();
        for part in
            ["12:00:00.123", "WARN", "inventory-service", "inventory-events/1@7", "available=3", "ALERT"]
        {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains('\n'));
    }

    #[test]
    fn no_field_of_an_event_plays_with_the_terminal() {
        let evil = "\u{1b}[2J\n\u{9b}A\u{202e}";
        let text = serde_json::json!({
            "eventName": evil, "timestamp": evil.repeat(9), "service": evil, "level": evil, "hexagonal_layer": evil,
            "correlationId": evil, "payload": {evil: evil, "b": [evil]},
        });
        for value in [text.to_string(), format!("{evil}{text}")] {
            let shown = anstream::adapter::strip_str(&line(&value).to_string()).to_string();
            assert!(shown.chars().all(crate::output::is_plain), "{shown:?}");
            assert!(shown.contains("\\u{1b}[2J\\n\\u{9b}A\\u{202e}"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_event_is_shown_in_plain_characters() {
        let shown = line("\u{1b}[31mred\u{7}");
        assert_eq!((shown.payload.as_str(), shown.alert), ("\\u{1b}[31mred\\u{7}", false));
        let long = line(&"é".repeat(PAYLOAD_MOST + 1));
        assert_eq!(long.payload, format!("{}...", "é".repeat(PAYLOAD_MOST)));
    }
}
