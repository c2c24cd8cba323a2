//! `kbnt audit verify`: whether the audit trail is whole and complete, and whether the records that it
//! vouches for exist unchanged.

mod trail;
mod verdict;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use kbnt_adapters::clock::SystemClock;
use kbnt_application::ports::Clock as _;
use kbnt_application::{Position, Topic};
use kbnt_domain::Span;
use kbnt_embedded::EmbeddedLog;
use tokio::time::{Instant, timeout_at};

use crate::cli::VerifyOptions;
use crate::failure::Failure;
use crate::log::{Cuts, cuts};
use crate::origin::{self, Access, From, Next, Origin};
use crate::output;
use trail::Trail;
use verdict::{Retention, Rules, Verdict};

/// The pause before a directory in use is read again.
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn run(options: VerifyOptions) -> Result<ExitCode, Failure> {
    let verdict = match &options.trail.data_dir {
        Some(directory) => of_directory(directory, options.wait).await?,
        None => of_running(&options).await?,
    };
    for finding in &verdict.findings {
        output::print_error(&finding.text);
    }
    if verdict.findings.is_empty() {
        output::line(&format!("{}; read from {}", verdict.summary, options.trail))?;
    }
    Ok(verdict.code().into())
}

/// Reads a directory. Reads it again while a process writes to it that has not linked the first records yet,
/// or is in the middle of a write.
async fn of_directory(directory: &Path, wait: Duration) -> Result<Verdict, Failure> {
    let deadline = Instant::now() + wait;
    let mut first: Option<Vec<Position>> = None;
    loop {
        let running = EmbeddedLog::is_in_use(directory);
        let log = EmbeddedLog::open_to_read(directory)?;
        let ends = match first {
            Some(ends) => ends,
            None => origin::ends(&log, &Topic::EVENTS).await?,
        };
        let trail = up_to(&ends, &mut Origin::of_log(&log, &Topic::EVENTS, From::Start).await?).await?;
        let files = log.recovery();
        let unsettled = trail.awaits_links() || files.torn.is_some() || trail.unproven(files).is_some();
        if !(running && unsettled && Instant::now() < deadline) {
            let rules =
                Rules { cuts: Cuts::new(), retention: None, passes_all: true, now: SystemClock.now() };
            return Ok(trail.judge(&rules, Some(files)));
        }
        first = Some(ends);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads everything up to these ends. Records beyond them only complete the earlier ones: a busy process
/// always has records without a link.
async fn up_to(ends: &[Position], origin: &mut Origin) -> Result<Trail, Failure> {
    let ends: HashMap<(Topic, u32), u64> =
        ends.iter().map(|end| ((end.topic, end.partition), end.offset)).collect();
    let mut trail = Trail::default();
    let mut later = Vec::new();
    while let Some(seen) = origin.next_of_those().await? {
        if ends.get(&(seen.topic, seen.partition)).is_some_and(|end| seen.offset >= *end) {
            later.push(seen);
        } else {
            trail.take(&seen);
        }
    }
    trail.catch_up();
    for seen in &later {
        trail.take(seen);
    }
    Ok(trail)
}

/// Reads Kafka or a running program, and continues for a while if its audit-service is behind.
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
    // Only Kafka deletes records by age, and an event stream omits unreadable records.
    let cuts = match origin::open_log(&options.trail.origin, None, Access::Read)? {
        Some(log) => cuts(&options.cut, &*log).await?,
        None => Cuts::new(),
    };
    let retention = is_log.then_some(retention);
    let rules = Rules { cuts, retention, passes_all: is_log, now: SystemClock.now() };
    Ok(trail.judge(&rules, None))
}

/// Reads everything that exists now.
async fn caught_up(origin: &mut Origin) -> Result<Trail, Failure> {
    let mut trail = Trail::default();
    while let Some(seen) = origin.next_of_those().await? {
        trail.take(&seen);
    }
    trail.catch_up();
    Ok(trail)
}
