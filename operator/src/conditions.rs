//! Conditions as KEP-1623 describes them, computed from findings.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kbnt_crds::Condition;

/// Status of a condition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
    /// It is unknown whether the condition holds.
    Unknown,
}

impl Status {
    /// The spelling of the Kubernetes API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a reconcile found out about one condition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Type of the condition.
    pub type_: &'static str,
    /// Whether the condition holds.
    pub status: Status,
    /// Reason, in CamelCase.
    pub reason: Cow<'static, str>,
    /// Message for people.
    pub message: String,
}

impl Finding {
    /// A condition that holds.
    pub fn yes(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status: Status::True, reason: reason.into(), message: message.into() }
    }

    /// A condition that does not hold.
    pub fn no(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status: Status::False, reason: reason.into(), message: message.into() }
    }

    /// The finding that a condition states already.
    pub fn kept(type_: &'static str, before: &Condition) -> Self {
        let status = match before.status.as_str() {
            "True" => Status::True,
            "False" => Status::False,
            _ => Status::Unknown,
        };
        Self { type_, status, reason: before.reason.clone().into(), message: before.message.clone() }
    }

    /// The same finding, with more sentences in its message.
    #[must_use]
    pub fn with(mut self, more: &[String]) -> Self {
        for text in more {
            self.message.push_str("; ");
            self.message.push_str(text);
        }
        self
    }

    /// A condition of which it is unknown whether it holds.
    pub fn unknown(type_: &'static str, reason: &'static str, message: impl Into<String>) -> Self {
        Self { type_, status: Status::Unknown, reason: reason.into(), message: message.into() }
    }
}

/// The finding for Ready: true if all findings in `needed` are true, else with the reason of the first that
/// is not.
pub fn ready(needed: &[&Finding], message: &str, paused: bool) -> Finding {
    match needed.iter().find(|finding| finding.status != Status::True) {
        None => Finding::yes("Ready", "Ready", message),
        Some(missing) => {
            let message = format!("{}: {}", missing.type_, missing.message);
            if paused {
                return Finding::no("Ready", "Paused", format!("paused, so nothing is repaired; {message}"));
            }
            Finding { reason: missing.reason.clone(), ..Finding::no("Ready", "", message) }
        }
    }
}

/// The conditions of these findings, with the time of the last change of status taken from the previous ones.
pub fn conditions(
    findings: Vec<Finding>,
    previous: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    findings
        .into_iter()
        .map(|finding| {
            let unchanged = previous.iter().find(|condition| {
                condition.type_ == finding.type_ && condition.status == finding.status.as_str()
            });
            Condition {
                type_: finding.type_.into(),
                status: finding.status.as_str().into(),
                reason: finding.reason.into_owned(),
                message: finding.message,
                observed_generation: generation,
                last_transition_time: unchanged
                    .map_or(Time(now), |condition| condition.last_transition_time.clone()),
            }
        })
        .collect()
}

/// The condition of this type, if there is one.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of this type is true.
pub fn holds(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

/// Joins the first ten names.
pub fn list(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(10).map(AsRef::as_ref).collect();
    match names.len().checked_sub(shown.len()) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
