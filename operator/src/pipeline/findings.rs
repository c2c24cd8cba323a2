//! The conditions that both resources share, computed from what a reconcile did and saw.

use super::{Applied, Desired, Failure, Missing, Reconciled};
use crate::conditions::{Finding, Status};
use crate::error::Error;
use crate::{topics, users, workloads};

/// Everything that came out of one reconcile.
pub struct Seen<'a, R: Reconciled> {
    /// The object that the resource refers to, if it exists.
    pub reference: Result<&'a R::Reference, Missing>,
    /// Why the resource cannot be carried out.
    pub invalid: Option<&'a Error>,
    /// What was decided, if the resource can be carried out.
    pub desired: Option<&'a Desired>,
    /// The condition LogIntact.
    pub log: Finding,
    /// What was done and seen.
    pub applied: &'a Applied<R::Report>,
}

/// FinalizerSet, only while it is false.
pub fn finalizer_set<R: Reconciled>(seen: &Seen<'_, R>) -> Option<Finding> {
    match &seen.applied.failure {
        Some(Failure::Finalizer(error)) => {
            Some(Finding::no("FinalizerSet", error.reason(), error.to_string()))
        }
        _ => None,
    }
}

/// TopicsReady. `unlearned` says that services still wait for the id of a topic; `ignored` lists the settings
/// of topics that the operator does not apply.
pub fn topics_ready<R: Reconciled>(seen: &Seen<'_, R>, unlearned: bool, ignored: &[String]) -> Finding {
    const TYPE: &str = "TopicsReady";
    if let Err(missing) = seen.reference {
        return Finding::unknown(TYPE, missing.reason, missing.message);
    }
    if let Some(error) = seen.invalid {
        return Finding::no(TYPE, error.reason(), error.to_string());
    }
    match &seen.applied.failure {
        Some(Failure::Topics(error)) => Finding::no(TYPE, error.reason(), error.to_string()),
        _ if unlearned => Finding::no(TYPE, "WaitingForTopics", "the ids of the topics are being recorded"),
        _ => topics::finding(&seen.applied.topics).with(ignored),
    }
}

/// UsersReady.
pub fn users_ready<R: Reconciled>(seen: &Seen<'_, R>, topics: &Finding) -> Finding {
    let failure = match &seen.applied.failure {
        Some(Failure::Users(error)) => Some(error),
        _ => None,
    };
    users::ready(topics, seen.invalid, failure, &seen.applied.users)
}

/// WorkloadsAvailable. `awaited` is what else must be ready before the services start.
pub fn workloads_available<R: Reconciled>(
    seen: &Seen<'_, R>,
    topics: &Finding,
    users: Option<&Finding>,
    awaited: Option<&str>,
) -> Finding {
    const TYPE: &str = "WorkloadsAvailable";
    if let Err(missing) = seen.reference {
        return Finding::unknown(TYPE, missing.reason, missing.message);
    }
    if let Some(error) = seen.invalid {
        return Finding::unknown(TYPE, error.reason(), error.to_string());
    }
    if let Some(Failure::Workloads(error)) = &seen.applied.failure {
        return Finding::no(TYPE, error.reason(), error.to_string());
    }
    let awaited = if topics.status != Status::True {
        Some("the topics to be ready")
    } else if users.is_some_and(|users| users.status != Status::True) {
        Some("their users to be ready")
    } else {
        awaited
    };
    workloads::finding(&seen.applied.services, awaited)
}
