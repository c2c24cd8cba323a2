//! Fields of lines for people, with control characters escaped.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use kbnt_wire::text::plain;

/// Writes the message, and every other field as `name=value`.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, begun: false, outcome: Ok(()) };
        fields.record(&mut line);
        line.outcome
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    begun: bool,
    outcome: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, name: &str, value: &str) -> fmt::Result {
        let value = plain(value);
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        match name {
            "message" => self.writer.write_str(&value),
            name => write!(self.writer, "{}={value}", name.trim_start_matches("r#")),
        }
    }
}

impl Visit for Line<'_> {
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Fields that the `log` crate adds give the place in the code.
        if self.outcome.is_ok() && !field.name().starts_with("log.") {
            self.outcome = self.put(field.name(), &format!("{value:?}"));
        }
    }
}
