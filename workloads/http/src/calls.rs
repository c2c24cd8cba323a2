//! Calls machines, and waits for changes.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::problem::{Code, Problem};
use kbnt_application::ports::{CallError, Changes};

/// The problem for a failed query; it had no effect in any case.
#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(super) fn query_problem(error: CallError) -> Problem {
    let code = if matches!(error, CallError::Damaged(_)) { Code::LogDamaged } else { Code::NotReady };
    Problem::new(code, error.to_string())
}

/// The problem for a failed call that writes.
#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(super) fn command_problem(error: CallError) -> Problem {
    match error {
        CallError::Damaged(_) => Problem::new(Code::LogDamaged, error.to_string()),
        CallError::NotReady => Problem::new(Code::NotReady, error.to_string()),
        CallError::Fenced | CallError::Stopped | CallError::Late => {
            Problem::new(Code::OutcomeUnknown, error.to_string())
        }
    }
}

/// Waits until `holds`, checking again after each change, but no longer than `wait`.
pub(super) async fn until<Answer>(
    mut changes: Box<dyn Changes>,
    wait: Duration,
    holds: impl Fn() -> Answer,
) -> Result<(), Problem>
where
    Answer: Future<Output = Result<bool, Problem>>,
{
    let deadline = Instant::now() + wait;
    loop {
        if holds().await? {
            return Ok(());
        }
        match timeout_at(deadline, changes.changed()).await {
            Ok(true) if Instant::now() < deadline => {}
            // Time is up, or nothing will change any more.
            Ok(_) | Err(_) => return Ok(()),
        }
    }
}
