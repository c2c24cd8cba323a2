//! The settings that every event store must have: its records are the state of the services, and none may be deleted.

use std::collections::BTreeMap;

use kbnt_application::Topic;

/// The settings of an event store that cannot be chosen.
pub const PINNED: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.bytes", "-1"), ("retention.ms", "-1")];

/// The pinned settings of the topic with this name, with any prefix.
fn pinned_for(name: &str) -> &'static [(&'static str, &'static str)] {
    let is_store = Topic::ALL.into_iter().any(|topic| topic.is_event_store() && name.ends_with(topic.name()));
    if is_store { &PINNED } else { &[] }
}

/// Adds the pinned settings to the wanted ones. The error names a wanted setting that contradicts a pinned one.
pub(crate) fn with_pinned(
    name: &str,
    wanted: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut all = wanted.clone();
    for (key, value) in pinned_for(name) {
        if let Some(other) = all.insert((*key).to_owned(), (*value).to_owned())
            && other != *value
        {
            return Err(format!(
                "it is an event store, whose records must never be deleted: {key} must be {value}, and {other} is asked for"
            ));
        }
    }
    Ok(all)
}

/// The message about pinned settings among those that differ; `None` if none of them is pinned.
pub(crate) fn changed_message(name: &str, differing: &[&str]) -> Option<String> {
    let pinned: Vec<&str> =
        pinned_for(name).iter().map(|(key, _)| *key).filter(|key| differing.contains(key)).collect();
    (!pinned.is_empty()).then(|| {
        format!(
            "somebody had changed {}: it is an event store, and records may have been deleted meanwhile",
            pinned.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_store_keeps_everything_whatever_is_asked_for() {
        let only = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        for name in ["order-events", "shop.user-events", "a-payment-events", "inventory-events"] {
            let all = with_pinned(name, &only("min.insync.replicas", "2")).unwrap();
            assert!(PINNED.iter().all(|(key, value)| all[*key] == *value) && all.len() == 4, "{all:?}");
            assert!(with_pinned(name, &only("retention.ms", "-1")).is_ok());
            let refused = with_pinned(name, &only("retention.ms", "60000")).unwrap_err();
            assert!(refused.contains("retention.ms") && refused.contains("60000"), "{refused}");
            assert!(with_pinned(name, &only("cleanup.policy", "compact")).is_err());
        }
        for name in ["notification-events", "shop.audit-logs", "application-logs"] {
            let finite = only("retention.ms", "60000");
            assert_eq!(with_pinned(name, &finite), Ok(finite));
        }
    }

    #[test]
    fn a_change_of_a_pinned_setting_is_reported() {
        let message = changed_message("order-events", &["retention.ms", "segment.bytes"]).unwrap();
        assert!(message.contains("retention.ms") && !message.contains("segment.bytes"), "{message}");
        assert_eq!(changed_message("order-events", &["segment.bytes"]), None);
        assert_eq!(changed_message("audit-logs", &["retention.ms"]), None);
    }
}
