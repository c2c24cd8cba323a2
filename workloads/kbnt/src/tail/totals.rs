//! Running totals.

use std::collections::BTreeMap;
use std::fmt::Write;

use comfy_table::Table;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;

use super::line::Line;

/// Names that are counted separately: more than there are services. They come from records, which anybody may
/// have written.
const NAMES: usize = 32;

/// The name for all further ones.
const OTHERS: &str = "others";

/// The totals so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    events: u64,
    alerts: u64,
    by_topic: BTreeMap<String, u64>,
    by_service: BTreeMap<String, u64>,
    by_level: BTreeMap<String, u64>,
    by_layer: BTreeMap<String, u64>,
    /// The number of events when the totals were last shown.
    shown: u64,
}

impl Totals {
    pub(super) fn count(&mut self, line: &Line) {
        self.events += 1;
        self.alerts += u64::from(line.alert);
        for (counts, name) in [
            (&mut self.by_topic, line.topic),
            (&mut self.by_service, &line.service),
            (&mut self.by_level, &line.level),
            (&mut self.by_layer, &line.layer),
        ] {
            let known = counts.len() < NAMES || counts.contains_key(name);
            *counts.entry(if known { name } else { OTHERS }.to_owned()).or_default() += 1;
        }
    }

    /// The totals on one line, if they have changed.
    pub(super) fn line_if_changed(&mut self) -> Option<String> {
        if self.events == self.shown {
            return None;
        }
        self.shown = self.events;
        let mut text = format!("{} events, {} alerts", self.events, self.alerts);
        for counts in [&self.by_service, &self.by_layer, &self.by_level] {
            let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            // Writing to a string cannot fail.
            let _ = write!(text, "; {}", counts.join(", "));
        }
        Some(text)
    }

    /// All totals, at the end.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY).set_header(["events by", "", "count"]);
        for (kind, counts) in [
            ("topic", &self.by_topic),
            ("service", &self.by_service),
            ("layer", &self.by_layer),
            ("level", &self.by_level),
        ] {
            for (name, count) in counts {
                table.add_row([kind, name, &count.to_string()]);
            }
        }
        table.add_row(["all", "", &self.events.to_string()]);
        table.add_row(["alerts", "", &self.alerts.to_string()]);
        table
    }
}
