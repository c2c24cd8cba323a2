//! `kbnt log`: whether a log has all of its records, as far as the log itself can tell; and which of them nobody needs any more.

mod checkpoints;
mod cut;
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
pub(crate) use checkpoints::{Cuts, cuts};
pub(crate) use cut::run as cut;
use report::Report;
use survey::Survey;

pub(crate) async fn run(options: LogVerifyOptions) -> Result<ExitCode, Failure> {
    let report = if let Some(directory) = &options.from.data_dir {
        let log = EmbeddedLog::open_to_read(directory)?;
        let cuts = cuts(&options.cut, &log).await?;
        let mut report = Survey::of(&log).await?.report(&options.topic_ids.ids, &cuts);
        report.add_files(log.recovery());
        report
    } else {
        let log = origin::open_named(&options.from)?;
        let cuts = cuts(&options.cut, &*log).await?;
        Survey::of(&*log).await?.report(&options.topic_ids.ids, &cuts)
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
