//! What is kept of a KafkaUser.

use kbnt_crds::KafkaUser;

use crate::ownership::Owner;
use crate::readiness::State;

/// What is kept of a KafkaUser.
#[derive(Clone, Debug)]
pub struct ObservedUser {
    /// The owner that is written on it.
    pub owner: Option<Box<str>>,
    /// Whether it is ready.
    pub state: State,
    /// Its Secret, once Strimzi has made it.
    pub secret: Option<Box<str>>,
}

impl ObservedUser {
    /// Extracts it from a KafkaUser.
    pub fn of(user: &KafkaUser) -> Self {
        let status = user.status.as_ref();
        let said = status.map(|status| (status.observed_generation, status.conditions.as_slice()));
        Self {
            owner: Owner::signature(&user.metadata).map(Into::into),
            state: State::from_status(&user.metadata, said, "User Operator"),
            secret: status.and_then(|status| status.secret.as_deref()).map(Into::into),
        }
    }
}
