//! The condition UsersReady.

use crate::conditions::{Finding, Status, list};
use crate::error::Error;
use crate::readiness::{State, View, grouped};

/// UsersReady. Users are made once the topics are ready.
pub fn ready(topics: &Finding, invalid: Option<&Error>, failure: Option<&Error>, views: &[View]) -> Finding {
    const TYPE: &str = "UsersReady";
    match invalid.or(failure) {
        Some(error) => Finding::no(TYPE, error.reason(), error.to_string()),
        None if topics.status != Status::True && views.iter().any(|view| !view.state.is_usable()) => {
            Finding::no(TYPE, "WaitingForTopics", "users get rights on topics that are ready")
        }
        None => finding(views),
    }
}

/// UsersReady for these users.
fn finding(views: &[View]) -> Finding {
    const TYPE: &str = "UsersReady";
    let held = grouped(views, |state| match state {
        State::Held(holder) => Some(format!("belongs to {holder}")),
        _ => None,
    });
    if !held.is_empty() {
        return Finding::no(
            TYPE,
            "UserConflict",
            format!("{}; rename or delete one of the two", list(&held)),
        );
    }
    let failed = grouped(views, |state| match state {
        State::Failed(reason, message) => Some(format!("{reason}: {message}")),
        _ => None,
    });
    if !failed.is_empty() {
        return Finding::no(TYPE, "UserFailed", list(&failed));
    }
    let pending = grouped(views, |state| match state {
        State::Pending(why) => Some(why.clone()),
        _ => None,
    });
    if !pending.is_empty() {
        return Finding::no(TYPE, "WaitingForUsers", list(&pending));
    }
    Finding::yes(TYPE, "UsersReady", format!("{} of {} users ready", views.len(), views.len()))
}

#[cfg(test)]
mod tests {
    use kbnt_crds::KafkaUser;
    use kbnt_crds::kafka_topic::KafkaTopicCondition;
    use kbnt_crds::kafka_user::KafkaUserStatus;

    use super::*;
    use crate::owned::ObservedUser;

    fn user(generation: i64, observed: i64, type_: &str, status: &str) -> KafkaUser {
        let condition = KafkaTopicCondition {
            type_: type_.into(),
            status: status.into(),
            reason: Some("InvalidResourceException".into()),
            message: Some("no such listener".into()),
            last_transition_time: None,
        };
        let mut user = KafkaUser {
            status: Some(KafkaUserStatus {
                observed_generation: Some(observed),
                conditions: vec![condition],
                secret: Some("shop".into()),
                ..KafkaUserStatus::default()
            }),
            ..KafkaUser::default()
        };
        user.metadata.generation = Some(generation);
        user
    }

    #[test]
    fn a_user_counts_once_strimzi_says_so_of_its_present_generation() {
        let reason = |user: &KafkaUser| {
            let view = View { name: "a".into(), state: ObservedUser::of(user).state };
            finding(&[view]).reason
        };
        assert_eq!(reason(&user(2, 2, "Ready", "True")), "UsersReady");
        assert_eq!(reason(&user(2, 2, "ReconciliationPaused", "True")), "UsersReady");
        assert_eq!(reason(&user(2, 1, "Ready", "True")), "WaitingForUsers");
        assert_eq!(reason(&KafkaUser::default()), "WaitingForUsers");
        assert_eq!(reason(&user(2, 2, "Ready", "False")), "UserFailed");
        let held = View { name: "a".into(), state: State::Held("VirtualStock a/b".into()) };
        assert_eq!(finding(&[held]).reason, "UserConflict");
        assert_eq!(ObservedUser::of(&user(1, 1, "Ready", "True")).secret.as_deref(), Some("shop"));
    }
}
