//! Why a step of a reconcile failed, and when to try it again.

use std::error::Error as _;
use std::fmt::Write as _;

use kube::core::Status;

use crate::retry::Class;
use crate::service_client::CallError;

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused or failed a request.
    #[error("cannot {action}: {}", explain(source))]
    Api {
        /// The request, as in "read KafkaTopic kafka/user-events".
        action: String,
        /// Its answer.
        source: Box<kube::Error>,
    },
    /// The resource asks for something impossible.
    #[error("{0}")]
    Invalid(String),
    /// The cluster serves no `KafkaTopic` API.
    #[error(
        "the cluster serves no KafkaTopic (kafka.strimzi.io): install Strimzi, or name a Kafka cluster by kafka.bootstrapServers"
    )]
    NoKafkaTopics,
    /// The cluster serves no `KafkaUser` API.
    #[error("the cluster serves no KafkaUser (kafka.strimzi.io): install Strimzi, or leave kafka.users out")]
    NoKafkaUsers,
    /// An object of this name belongs to another owner.
    #[error("{object} belongs to {holder}: rename or delete one of the two")]
    Held {
        /// Kind, namespace and name.
        object: String,
        /// Its owner.
        holder: String,
    },
    /// An object could not be written as JSON.
    #[error("cannot write as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A service of the resource refused or failed a request.
    #[error("cannot {action}: {source}")]
    Service {
        /// The request, as in "declare PROD-001".
        action: String,
        /// Its answer.
        source: CallError,
    },
    /// Several independent steps failed.
    #[error("{}", joined(.0))]
    Several(Vec<Error>),
}

/// The most errors that a text lists.
const MAX_LISTED: usize = 10;
/// The most bytes of each.
const MAX_ERROR_BYTES: usize = 500;

/// The text for several errors, no longer than people would read.
fn joined(errors: &[Error]) -> String {
    let short = |error: &Error| {
        let mut text = error.to_string();
        if text.len() > MAX_ERROR_BYTES {
            text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
            text.push_str(" ...");
        }
        text
    };
    let listed: Vec<_> = errors.iter().take(MAX_LISTED).map(short).collect();
    match errors.len().saturating_sub(MAX_LISTED) {
        0 => listed.join("; "),
        more => format!("{}; and {more} more", listed.join("; ")),
    }
}

impl Error {
    /// Wraps the answer of the API server.
    pub fn api(action: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { action: action.into(), source: Box::new(source) }
    }

    /// These as one error, if there are any.
    pub fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => errors.pop().map_or(Ok(()), Err),
            _ => Err(Self::Several(errors)),
        }
    }

    /// What to expect of another try; of several errors, the class of the one that may pass first.
    pub fn class(&self) -> Class {
        match self {
            Self::Several(errors) => errors.iter().map(Self::class).min().unwrap_or(Class::Transient),
            // A namespace that is being deleted accepts nothing new. That passes by itself.
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) if has_cause(status, TERMINATING) => Class::Waiting,
                kube::Error::Api(status) if matches!(status.code, 400 | 401 | 403 | 405 | 422) => {
                    Class::Permanent
                }
                _ => Class::Transient,
            },
            Self::Invalid(_) | Self::Json(_) => Class::Permanent,
            Self::NoKafkaTopics | Self::NoKafkaUsers | Self::Held { .. } => Class::Waiting,
            Self::Service { source, .. } => source.class(),
        }
    }

    /// Reason for conditions and events, in CamelCase.
    pub fn reason(&self) -> &'static str {
        match self {
            // An error that somebody has to fix comes before one that passes by itself.
            Self::Several(errors) => {
                errors.iter().max_by_key(|error| error.class()).map_or("ApiError", Self::reason)
            }
            Self::Api { source, .. } => match &**source {
                kube::Error::Api(status) if has_cause(status, TERMINATING) => TERMINATING,
                kube::Error::Api(status) if status.code == 403 => "Forbidden",
                kube::Error::Api(status) if status.code == 422 || status.code == 400 => "Refused",
                _ => "ApiError",
            },
            Self::Invalid(_) | Self::Json(_) => "InvalidSpec",
            Self::NoKafkaTopics | Self::NoKafkaUsers => "StrimziMissing",
            Self::Held { .. } => "NameTaken",
            Self::Service { .. } => "ServiceError",
        }
    }
}

/// The cause that the API server gives when the namespace is being deleted.
const TERMINATING: &str = "NamespaceTerminating";

fn has_cause(status: &Status, reason: &str) -> bool {
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
}

/// Whether an RBAC rule is missing. The API server then states who may not do what, and gives no cause.
/// Admission (a quota, Pod Security, a namespace that is being deleted) answers 403 as well, with another
/// text or a cause.
fn lacks_rule(status: &Status) -> bool {
    let has_cause = status.details.iter().any(|details| !details.causes.is_empty());
    let who = status.message.split_once("forbidden: User \"");
    status.code == 403 && !has_cause && who.is_some_and(|(_, rest)| rest.contains("\" cannot "))
}

/// The message of the API server if it sent one, else the whole chain of causes.
fn explain(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return if lacks_rule(status) {
            format!("the operator's role lacks a rule: {}", status.message)
        } else if status.message.is_empty() {
            format!("{} ({})", status.reason, status.code)
        } else {
            status.message.clone()
        };
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(message: &str, causes: &serde_json::Value) -> Error {
        let status: Status =
            serde_json::from_value(json!({"status": "Failure", "message": message, "reason": "Forbidden",
            "details": {"name": "main", "kind": "deployments", "causes": causes}, "code": 403}))
            .unwrap();
        Error::api("apply Deployment shop/main")(kube::Error::Api(Box::new(status)))
    }

    #[test]
    fn several_errors_are_all_named_and_tried_again_as_soon_as_one_may_pass() {
        assert!(Error::all(Vec::new()).is_ok());
        let one = Error::all(vec![Error::Invalid("a".into())]).unwrap_err();
        assert_eq!((one.reason(), one.to_string().as_str()), ("InvalidSpec", "a"));
        let held = Error::Held { object: "Service a".into(), holder: "b".into() };
        let long = Error::Invalid("\u{fc}".repeat(1000));
        let several = Error::all(vec![held, long, Error::NoKafkaUsers]).unwrap_err();
        assert_eq!((several.class(), several.reason()), (Class::Waiting, "InvalidSpec"));
        let text = several.to_string();
        assert!(
            text.starts_with("Service a belongs to b") && text.contains("; the cluster serves no KafkaUser")
        );
        assert!(text.len() < 1000, "{text}");
        let many = Error::all((0..12).map(|n| Error::Invalid(n.to_string())).collect()).unwrap_err();
        assert!(many.to_string().ends_with("; 9; and 2 more"), "{many}");
    }

    #[test]
    fn only_a_missing_rule_is_called_one() {
        let account = "system:serviceaccount:kbnt-system:kbnt";
        let rule = format!(
            "deployments.apps \"main\" is forbidden: User \"{account}\" cannot patch resource \"deployments\" in API group \
             \"apps\" in the namespace \"shop\""
        );
        let error = refused(&rule, &json!([]));
        assert_eq!((error.reason(), error.class()), ("Forbidden", Class::Permanent));
        assert!(error.to_string().contains("the operator's role lacks a rule: deployments.apps"), "{error}");
        let ending = "deployments.apps \"main\" is forbidden: unable to create new content in namespace shop because it is being \
                      terminated";
        let cause = json!([{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated", "field": "metadata.namespace"}]);
        let error = refused(ending, &cause);
        assert_eq!((error.reason(), error.class()), ("NamespaceTerminating", Class::Waiting));
        for (message, causes) in [
            (ending, cause),
            (
                "pods \"x\" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1",
                json!([]),
            ),
            (
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": host namespaces",
                json!([]),
            ),
            ("admission webhook \"a.b\" denied the request: User \"x\" cannot be named so", json!([])),
        ] {
            let text = refused(message, &causes).to_string();
            assert_eq!(text, format!("cannot apply Deployment shop/main: {message}"));
        }
    }
}
