//! Why a call to the cluster failed, and whether a retry may succeed.

use std::fmt::Display;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Why a call to the cluster failed.
#[derive(Debug)]
pub(crate) enum Problem {
    /// No broker answers any call.
    Unreachable(String),
    /// A retry may succeed.
    Transient(String),
    /// A retry will not succeed.
    Permanent(String),
}

impl Problem {
    /// The problem that the error code of `action` stands for.
    pub(crate) fn of_code(action: &dyn Display, code: Code) -> Self {
        let message = format!("cannot {action}: {code}");
        match code {
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::Authentication
            | Code::SSL
            | Code::SaslAuthenticationFailed
            | Code::OperationTimedOut => Self::Unreachable(message),
            Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::InvalidTopic
            | Code::InvalidPartitions
            | Code::InvalidReplicationFactor
            | Code::InvalidReplicaAssignment
            | Code::InvalidConfig
            | Code::InvalidRequest
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature => Self::Permanent(message),
            _ => Self::Transient(message),
        }
    }

    /// The problem that the error of `action` stands for.
    pub(crate) fn of_error(action: &dyn Display, error: &KafkaError) -> Self {
        match error {
            KafkaError::AdminOp(code) => Self::of_code(action, *code),
            KafkaError::AdminOpCreation(_) | KafkaError::Nul(_) => {
                Self::Permanent(format!("cannot {action}: {error}"))
            }
            _ => match error.rdkafka_error_code() {
                Some(code) => Self::of_code(action, code),
                None => Self::Transient(format!("cannot {action}: {error}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_broker_says_is_for_now_or_for_good() {
        for code in [Code::NotController, Code::LeaderNotAvailable, Code::TopicAlreadyExists] {
            assert!(matches!(Problem::of_code(&"try", code), Problem::Transient(_)), "{code}");
        }
        for code in [Code::PolicyViolation, Code::InvalidReplicationFactor, Code::ClusterAuthorizationFailed]
        {
            assert!(matches!(Problem::of_code(&"try", code), Problem::Permanent(_)), "{code}");
        }
        let called = |error| Problem::of_error(&"try", &error);
        assert!(matches!(called(KafkaError::AdminOp(Code::OperationTimedOut)), Problem::Unreachable(_)));
        assert!(matches!(called(KafkaError::MetadataFetch(Code::AllBrokersDown)), Problem::Unreachable(_)));
        assert!(matches!(called(KafkaError::Canceled), Problem::Transient(_)));
    }
}
