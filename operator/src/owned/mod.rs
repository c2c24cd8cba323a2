//! The kinds of objects that the operator owns.
//!
//! The table in `table.rs` has one entry per kind. From it follow the watches, the caches, how objects are
//! written, compared and found, and the test of the operator's rights.

mod claim;
mod cluster;
mod deployment;
mod job;
mod kafka_topic;
mod kafka_user;
mod kind;
mod secret;
mod table;

pub use claim::ObservedClaim;
pub use cluster::{Cluster, DesiredObject};
pub use deployment::ObservedDeployment;
pub use job::{End, ObservedJob, Stage, TOPICS_DIGEST};
pub use kafka_topic::ObservedTopic;
pub use kafka_user::ObservedUser;
pub use kind::{Apis, Area, Kind, Owned, Ownership, Reach, Served, Visitor};
pub use secret::{ObservedSecret, USER_LABEL, keys};
pub use table::{Caches, KEDA, ScaledObject, each_kind, scaled_objects};

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde::Deserialize;
    use serde_yaml::Value;

    use super::*;

    /// The rights in the chart, in each form in which the repository renders it: with users, too.
    const RENDERED: [&str; 2] = [
        include_str!("../../../manifests/install/20-operator.yaml"),
        include_str!("../../tests/apiserver/users.yaml"),
    ];
    /// What the operator uses without owning it: the resources that it reconciles, the pods of Jobs and
    /// services, its own lease, the right to a lease that it grants, and events.
    const NOT_OWNED: [(&str, &str); 7] = [
        ("kbnt.dev", "virtualstocks"),
        ("kbnt.dev", "orderworkflows"),
        ("kbnt.dev", "virtualstocks/status"),
        ("kbnt.dev", "orderworkflows/status"),
        ("", "pods"),
        ("coordination.k8s.io", "leases"),
        ("events.k8s.io", "events"),
    ];

    /// Verbs by group and plural.
    type Rules = BTreeMap<(String, String), BTreeSet<String>>;

    fn of_chart() -> Rules {
        let mut rules = Rules::new();
        let texts = |list: &Value| -> Vec<String> { serde_yaml::from_value(list.clone()).unwrap() };
        let documents = RENDERED.into_iter().flat_map(serde_yaml::Deserializer::from_str);
        for document in documents.map(|document| Value::deserialize(document).unwrap()) {
            for rule in document.get("rules").and_then(Value::as_sequence).into_iter().flatten() {
                for (group, plural) in texts(&rule["apiGroups"]).iter().flat_map(|group| {
                    texts(&rule["resources"]).into_iter().map(move |plural| (group.clone(), plural))
                }) {
                    rules.entry((group, plural)).or_default().extend(texts(&rule["verbs"]));
                }
            }
        }
        rules
    }

    struct OfTable;

    impl Visitor for OfTable {
        type Output = ((String, String), BTreeSet<String>);

        fn visit<K: Owned>(&self) -> Self::Output {
            let resource = K::in_version("v1");
            let verbs = K::KIND.verbs.iter().map(|verb| (*verb).to_owned());
            ((resource.group, resource.plural), verbs.collect())
        }
    }

    #[test]
    fn the_chart_allows_what_is_done_with_each_kind_of_the_table_and_nothing_else() {
        let mut of_chart = of_chart();
        for (group, plural) in NOT_OWNED {
            let rule = of_chart.remove(&(group.to_owned(), plural.to_owned()));
            assert!(rule.is_some(), "no rule for {plural}");
        }
        let of_table: Rules = each_kind(&OfTable).into_iter().collect();
        assert_eq!(of_table, of_chart);
    }
}
