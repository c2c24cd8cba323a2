//! `kbnt audit verify`: whether the audit trail is whole and complete, and whether what it vouches for is there and unchanged.

mod trail;
mod verdict;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use kbnt_application::Topic;
use kbnt_application::ports::Clock as _;
use kbnt_domain::Span;
use kbnt_infrastructure::clock::SystemClock;
use kbnt_infrastructure::embedded::EmbeddedLog;
use tokio::time::{Instant, timeout_at};

use crate::cli::VerifyOptions;
use crate::failure::Failure;
use crate::origin::{self, From, Next, Origin};
use crate::output;
use trail::Trail;
use verdict::{Retention, Rules, Verdict};

/// The pause before a directory that is in use is read again.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(options: VerifyOptions) -> Result<ExitCode, Failure> {
    let verdict = match &options.trail.data_dir {
        Some(directory) => of_directory(directory, options.wait).await?,
        None => of_running(&options).await?,
    };
    for finding in &verdict.findings {
        output::complain(&finding.text);
    }
    if verdict.findings.is_empty() {
        output::line(&verdict.summary)?;
    }
    Ok(verdict.code().into())
}

/// Reads a directory, again and again while a process is writing it whose audit-service is behind.
async fn of_directory(directory: &Path, wait: Duration) -> Result<Verdict, Failure> {
    let deadline = Instant::now() + wait;
    loop {
        let running = EmbeddedLog::is_in_use(directory);
        let log = origin::open_directory(directory, origin::Access::Read)?;
        let mut origin = Origin::of_log(&log, &Topic::EVENTS, From::Start).await?;
        let trail = caught_up(&mut origin).await?;
        if !(running && trail.awaits_links() && Instant::now() < deadline) {
            let rules = Rules { retention: None, passes_all: true, now: SystemClock.now() };
            return Ok(trail.judge(&rules, &log.recovery().short));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads Kafka or a running program, and goes on for a while if its audit-service is behind.
async fn of_running(options: &VerifyOptions) -> Result<Verdict, Failure> {
    let mut origin = Origin::open(&options.trail.origin, None, &Topic::EVENTS, From::Start).await?;
    let mut trail = caught_up(&mut origin).await?;
    let deadline = Instant::now() + options.wait;
    let is_log = matches!(origin, Origin::Log(_));
    while trail.awaits_links() || !is_log && trail.awaits_records() {
        let Ok(next) = timeout_at(deadline, origin.next()).await else { break };
        match next? {
            Next::Record(seen) => trail.take(&seen),
            Next::CaughtUp => {}
            Next::Anew => return Err(origin::replaced()),
        }
    }
    let span = |time: Duration| Span::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let retention = Retention {
        links: span(options.audit_retention),
        notifications: span(options.notification_retention),
    };
    // Only Kafka forgets by age; and an event stream has no records that nobody understands.
    let rules = Rules { retention: is_log.then_some(retention), passes_all: is_log, now: SystemClock.now() };
    Ok(trail.judge(&rules, &[]))
}

/// All that is there now.
async fn caught_up(origin: &mut Origin) -> Result<Trail, Failure> {
    let mut trail = Trail::default();
    while let Some(seen) = origin.next_of_those().await? {
        trail.take(&seen);
    }
    trail.catch_up();
    Ok(trail)
}
