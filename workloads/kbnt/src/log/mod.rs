//! `kbnt log verify`: whether a log has all of its records, as far as the log itself can tell.

mod report;
mod survey;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use kbnt_embedded::EmbeddedLog;

use crate::cli::LogVerifyOptions;
use crate::failure::Failure;
use crate::origin::{self, Access};
use crate::output;
use report::Report;
use survey::Survey;

pub(crate) async fn run(options: LogVerifyOptions) -> Result<ExitCode, Failure> {
    let report = if let Some(directory) = &options.from.data_dir {
        let log = EmbeddedLog::open_to_read(directory)?;
        let mut report = Survey::of(&log).await?.report(&options.topic_ids.ids);
        report.add_files(log.recovery());
        report
    } else {
        let log = origin::open_log(&options.from.origin, None, Access::Read)?.ok_or_else(unnamed)?;
        Survey::of(&*log).await?.report(&options.topic_ids.ids)
    };
    if options.json {
        output::json(&report.to_json())?;
    } else {
        show(&report)?;
    }
    Ok(report.code().into())
}

/// A running program does not show where its log begins and ends.
fn unnamed() -> Failure {
    Failure::Options(
        "a running program cannot be examined: name its log by --data-dir or --bootstrap-servers".to_owned(),
    )
}

fn show(report: &Report) -> Result<(), Failure> {
    output::page(report.table())?;
    for note in &report.notes {
        output::line(&format!("note: {note}"))?;
    }
    for damage in &report.damage {
        output::print_error(&damage.message);
    }
    if report.damage.is_empty() {
        output::line(&format!("no record of {} is missing, as far as the log can tell", report.records()))?;
    }
    Ok(())
}
