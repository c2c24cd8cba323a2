//! `kbnt tail`: the live consumer.

mod line;
mod totals;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use kbnt_application::Topic;
use serde_json::Value;

use crate::cli::TailOptions;
use crate::failure::Failure;
use crate::origin::{From, Next, Origin, Seen};
use crate::wiring;
use line::Line;
use totals::Totals;

/// How often totals are shown while events come.
const TOTALS_EVERY: Duration = Duration::from_secs(10);

pub(crate) async fn run(options: TailOptions) -> Result<ExitCode, Failure> {
    let topics = topics(&options)?;
    let from = if options.from_beginning { From::Start } else { From::Now };
    let mut origin = Origin::open(&options.origin, None, &topics, from).await?;
    let mut totals = Totals::default();
    let mut left = options.limit.unwrap_or(u64::MAX);
    let mut every = tokio::time::interval(TOTALS_EVERY);
    let told = wiring::until_told();
    tokio::pin!(told);
    while left > 0 {
        tokio::select! {
            next = origin.next() => match next? {
                Next::CaughtUp => note(&options, "from here on live"),
                Next::Anew => note(&options, "the log is another one than before: from its first event on"),
                Next::Record(seen) => {
                    left -= 1;
                    show(&options, &seen, &mut totals)?;
                }
            },
            _ = every.tick() => {
                if let Some(text) = totals.news() {
                    note(&options, &text);
                }
            }
            told = &mut told => {
                told?;
                break;
            }
        }
    }
    if !options.json {
        let _ = writeln!(anstream::stdout(), "{}", totals.table());
    }
    Ok(ExitCode::SUCCESS)
}

fn topics(options: &TailOptions) -> Result<Vec<Topic>, Failure> {
    if options.topics.is_empty() {
        return Ok(Topic::ALL.to_vec());
    }
    let known = || Topic::ALL.map(Topic::name).join(", ");
    let topic = |name: &String| {
        Topic::from_name(name)
            .ok_or_else(|| Failure::Options(format!("{name}: no such topic; there are {}", known())))
    };
    options.topics.iter().map(topic).collect()
}

fn show(options: &TailOptions, seen: &Seen, totals: &mut Totals) -> Result<(), Failure> {
    let line = Line::new(seen);
    totals.count(&line);
    if options.json {
        let value: Value = serde_json::from_slice(&seen.value)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&seen.value).into_owned()));
        let place = serde_json::json!({
            "topic": seen.topic.name(), "partition": seen.partition, "offset": seen.offset, "value": value,
        });
        writeln!(std::io::stdout(), "{place}")?;
    } else {
        writeln!(anstream::stdout(), "{line}")?;
    }
    Ok(())
}

fn note(options: &TailOptions, text: &str) {
    if !options.json {
        let faint = anstyle::Style::new().dimmed();
        let _ = writeln!(anstream::stdout(), "{faint}-- {text}{faint:#}");
    }
}
