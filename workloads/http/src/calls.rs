//! Asking the machines, and waiting for them.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::problem::{Code, Problem};
use kbnt_application::ports::{CallError, Changes};

/// Why a question was not answered; it had no effect in any case.
#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(super) fn asked(error: CallError) -> Problem {
    let code = if matches!(error, CallError::Damaged(_)) { Code::LogDamaged } else { Code::NotReady };
    Problem::new(code, error.to_string())
}

/// Why a call that writes was not answered.
#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(super) fn told(error: CallError) -> Problem {
    match error {
        CallError::Damaged(_) => Problem::new(Code::LogDamaged, error.to_string()),
        CallError::NotReady => Problem::new(Code::NotReady, error.to_string()),
        CallError::Fenced | CallError::Stopped | CallError::Late => {
            Problem::new(Code::OutcomeUnknown, error.to_string())
        }
    }
}

/// Waits until `holds`, asking again whenever `changes` tell of one, but no longer than `wait`.
pub(super) async fn until<Asked>(
    mut changes: Box<dyn Changes>,
    wait: Duration,
    holds: impl Fn() -> Asked,
) -> Result<(), Problem>
where
    Asked: Future<Output = Result<bool, Problem>>,
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
