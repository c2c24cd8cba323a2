//! `kbnt log verify`: whether a log has all of its records, as far as the log itself can tell.

mod report;
mod survey;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use kbnt_embedded::EmbeddedLog;

use crate::cli::LogVerifyOptions;
use crate::failure::Failure;
use crate::origin;
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
        Survey::of(&*origin::open_named(&options.from)?).await?.report(&options.topic_ids.ids)
    };
    if options.json {
        output::json(&report.to_json())?;
    } else {
        show(&report)?;
    }
    Ok(report.code().into())
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
