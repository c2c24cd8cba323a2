//! `kbnt tail`: the live consumer.

mod line;
mod totals;

use std::process::ExitCode;
use std::time::Duration;

use kbnt_application::Topic;
use serde_json::Value;

use crate::cli::TailOptions;
use crate::failure::Failure;
use crate::life::Life;
use crate::origin::{From, Next, Origin, Seen};
use crate::output;
use line::Line;
use totals::Totals;

/// How often totals are shown while events come.
const TOTALS_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn run(options: TailOptions, life: Life) -> Result<ExitCode, Failure> {
    let topics = if options.topics.is_empty() { Topic::ALL.to_vec() } else { options.topics.clone() };
    let from = if options.from_beginning { From::Start } else { From::Now };
    let mut origin = Origin::open(&options.origin, None, &topics, from).await?;
    let mut totals = Totals::default();
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut every = tokio::time::interval(TOTALS_EVERY);
    let stop = life.at_work();
    while left > 0 {
        tokio::select! {
            next = origin.next() => match next? {
                Next::CaughtUp => remark(&options, "from here on live")?,
                Next::Anew => remark(&options, "the log is another one than before: from its first event on")?,
                Next::Record(seen) => {
                    left -= 1;
                    show(&options, &seen, &mut totals)?;
                }
            },
            _ = every.tick() => {
                if let Some(text) = totals.line_if_changed() {
                    remark(&options, &text)?;
                }
            }
            () = stop.cancelled() => break,
        }
    }
    if !options.json {
        output::page(totals.table())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(options: &TailOptions, seen: &Seen, totals: &mut Totals) -> Result<(), Failure> {
    let line = Line::new(seen);
    totals.count(&line);
    if options.json {
        let value: Value = serde_json::from_slice(&seen.value)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&seen.value).into_owned()));
        output::json(&serde_json::json!({
            "topic": seen.topic.name(), "partition": seen.partition, "offset": seen.offset, "value": value,
        }))
    } else {
        output::page(line)
    }
}

fn remark(options: &TailOptions, text: &str) -> Result<(), Failure> {
    if options.json {
        return Ok(());
    }
    let faint = anstyle::Style::new().dimmed();
    output::page(format_args!("{faint}-- {text}{faint:#}"))
}
