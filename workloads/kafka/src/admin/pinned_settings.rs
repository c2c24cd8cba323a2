//! Settings that an event store must have: its records are the state of the services, and none may go.

use std::collections::BTreeMap;

use kbnt_application::Topic;

/// The settings of an event store that nobody may choose.
pub const PINNED: [(&str, &str); 3] =
    [("cleanup.policy", "delete"), ("retention.bytes", "-1"), ("retention.ms", "-1")];

/// What a topic of this name, with whatever prefix, must be set to.
pub(crate) fn of(name: &str) -> &'static [(&'static str, &'static str)] {
    let is_store = Topic::ALL.into_iter().any(|topic| topic.is_event_store() && name.ends_with(topic.name()));
    if is_store { &PINNED } else { &[] }
}

/// These settings and those that are pinned; else what is wished for and must not be.
pub(crate) fn with(
    name: &str,
    wished: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut all = wished.clone();
    for (key, value) in of(name) {
        if let Some(wish) = all.insert((*key).to_owned(), (*value).to_owned())
            && wish != *value
        {
            return Err(format!(
                "it is an event store, whose records must never go: {key} can be nothing but {value}, and {wish} is asked for"
            ));
        }
    }
    Ok(all)
}

/// What is to be said of these settings, which were found to be others; `None` if none of them is pinned.
pub(crate) fn changed(name: &str, found: &[&str]) -> Option<String> {
    let pinned: Vec<&str> = of(name).iter().map(|(key, _)| *key).filter(|key| found.contains(key)).collect();
    (!pinned.is_empty()).then(|| {
        format!(
            "somebody had changed {}: it is an event store, and records may have gone meanwhile",
            pinned.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_store_keeps_everything_whatever_is_wished() {
        let wish = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        for name in ["order-events", "shop.user-events", "a-payment-events", "inventory-events"] {
            let all = with(name, &wish("min.insync.replicas", "2")).unwrap();
            assert!(PINNED.iter().all(|(key, value)| all[*key] == *value) && all.len() == 4, "{all:?}");
            assert!(with(name, &wish("retention.ms", "-1")).is_ok());
            let refused = with(name, &wish("retention.ms", "60000")).unwrap_err();
            assert!(refused.contains("retention.ms") && refused.contains("60000"), "{refused}");
            assert!(with(name, &wish("cleanup.policy", "compact")).is_err());
        }
        for name in ["notification-events", "shop.audit-logs", "application-logs"] {
            let finite = wish("retention.ms", "60000");
            assert_eq!(with(name, &finite), Ok(finite));
        }
    }

    #[test]
    fn a_change_of_what_is_pinned_is_told() {
        let told = changed("order-events", &["retention.ms", "segment.bytes"]).unwrap();
        assert!(told.contains("retention.ms") && !told.contains("segment.bytes"), "{told}");
        assert_eq!(changed("order-events", &["segment.bytes"]), None);
        assert_eq!(changed("audit-logs", &["retention.ms"]), None);
    }
}
