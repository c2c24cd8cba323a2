//! Shows the scenarios: text in the colours of the layers, or one JSON object.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use kbnt_application::Topic;
use serde_json::json;

use super::report::{Levels, OrderReport, Report};
use super::scenario::Scenario;
use crate::failure::Failure;
use crate::output::{self, plain};

const BOLD: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// The colour of a layer.
fn of_layer(layer: &str) -> Style {
    match layer {
        "domain" => AnsiColor::Blue.on_default(),
        "application" => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Green.on_default(),
    }
}

/// Where it is shown.
pub(super) struct Screen {
    json: bool,
}

impl Screen {
    pub(super) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Shows a line of text.
    fn line(&self, line: std::fmt::Arguments<'_>) -> Result<(), Failure> {
        if self.json { Ok(()) } else { output::page(line) }
    }

    pub(super) fn title(&self, scenario: &Scenario) -> Result<(), Failure> {
        self.line(format_args!("\n{BOLD}{}{BOLD:#}  {}", scenario.name, scenario.title))
    }

    pub(super) fn remark(&self, remark: &str) -> Result<(), Failure> {
        self.line(format_args!("  {FAINT}-- {remark}{FAINT:#}"))
    }

    pub(super) fn stock(&self, when: &str, levels: &Levels) -> Result<(), Failure> {
        let product = |(product, (real, reserved, available)): (&String, &(u64, u64, u64))| {
            format!("{product} {real} real - {reserved} reserved = {available} available")
        };
        let levels: Vec<_> = levels.iter().map(product).collect();
        self.line(format_args!("  {FAINT}stock {when}: {}{FAINT:#}", levels.join("; ")))
    }

    pub(super) fn order(&self, order: &OrderReport) -> Result<(), Failure> {
        self.line(format_args!("  {BOLD}{} orders {}{BOLD:#}", order.user, order.wish))?;
        for step in &order.steps {
            let style = of_layer(step.layer);
            let (topic, partition, offset) = step.place;
            self.line(format_args!(
                "    {style}{:<14}{style:#} {:<20} {:<28} {:<24} {FAINT}{}{FAINT:#}",
                step.layer,
                step.service,
                step.event,
                format!("{topic}/{partition}@{offset}"),
                plain(&step.detail),
            ))?;
        }
        let style = of_layer("infrastructure");
        self.line(format_args!(
            "    {style}{:<14}{style:#} {:<20} {:<28} {:<24} {FAINT}one for each event above{FAINT:#}",
            "infrastructure",
            "audit-service",
            format!("AuditLogCreated x {}", order.audited),
            "audit-logs/0",
        ))?;
        let style = if order.end == order.expected { GOOD } else { BAD };
        self.line(format_args!("    {style}{}{style:#}", order.end))
    }

    pub(super) fn ended(&self, report: &Report) -> Result<(), Failure> {
        for (end, count) in &report.ends {
            self.line(format_args!("  {count:>5} {end}"))?;
        }
        for check in report.checks.iter().filter(|check| !check.holds()) {
            self.line(format_args!(
                "  {BAD}wrong{BAD:#} {}: {} instead of {}",
                check.what, check.found, check.expected
            ))?;
        }
        Ok(())
    }

    /// The table of all scenarios, and the messages by topic.
    pub(super) fn finish(&self, reports: &[Report], took: Duration) -> Result<(), Failure> {
        let by_topic = |topic: Topic| -> u64 {
            reports.iter().filter_map(|report| report.messages.get(topic.name())).sum()
        };
        let total: u64 = Topic::ALL.into_iter().map(by_topic).sum();
        if self.json {
            let messages: serde_json::Map<_, _> = Topic::ALL
                .into_iter()
                .map(|topic| (topic.name().to_owned(), by_topic(topic).into()))
                .collect();
            let all = json!({
                "ok": reports.iter().all(Report::is_good),
                "scenarios": reports.iter().map(Report::to_json).collect::<Vec<_>>(),
                "messages": messages,
                "totalMessages": total,
                "seconds": took.as_secs_f64(),
            });
            return output::json(&all);
        }
        self.line(format_args!("\n{}\n", scenarios(reports)))?;
        self.line(format_args!("{}\n", topics(&by_topic, total)))?;
        let good = reports.iter().all(Report::is_good);
        let (style, word) = if good { (GOOD, "all as it must be") } else { (BAD, "not as it must be") };
        self.line(format_args!(
            "{style}{word}{style:#}: {} scenarios, {total} messages, {:.1} s",
            reports.len(),
            took.as_secs_f64()
        ))
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

fn scenarios(reports: &[Report]) -> Table {
    let mut table = table(&[
        "scenario",
        "how orders ended",
        "stock at the end: real/reserved/available",
        "messages",
        "checks",
    ]);
    for report in reports {
        let ends: Vec<_> = report.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
        let level = |(product, (real, reserved, available)): (&String, &(u64, u64, u64))| {
            format!("{product} {real}/{reserved}/{available}")
        };
        let stock: Vec<_> = report.stock.iter().map(level).collect();
        let good = report.checks.iter().filter(|check| check.holds()).count();
        table.add_row(vec![
            report.name.to_owned(),
            ends.join("\n"),
            stock.join("\n"),
            report.messages.values().sum::<u64>().to_string(),
            format!("{good} of {} hold", report.checks.len()),
        ]);
    }
    right(&mut table, 3);
    table
}

fn topics(by_topic: &dyn Fn(Topic) -> u64, total: u64) -> Table {
    let mut table = table(&["topic", "partitions", "messages"]);
    for topic in Topic::ALL {
        table.add_row(vec![
            topic.name().to_owned(),
            topic.partitions().to_string(),
            by_topic(topic).to_string(),
        ]);
    }
    table.add_row(vec!["all".to_owned(), String::new(), total.to_string()]);
    right(&mut table, 1);
    right(&mut table, 2);
    table
}

fn right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
