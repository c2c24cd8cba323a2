//! KafkaTopics as they should be.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::common::{TopicDeletionPolicy, TopicSettings};
use kbnt_crds::kafka_topic::CLUSTER_LABEL;
use kbnt_crds::{KafkaTopic, KafkaTopicSpec};
use kube::core::Duration;

use super::{Owner, Place, Topic};
use crate::error::Error;
use crate::workloads::labels;

/// The KafkaTopics of `owner`: these topics with these settings.
pub fn build(
    owner: &Owner,
    place: &Place,
    prefix: &str,
    topics: &[Topic],
    settings: &[TopicSettings],
    policy: TopicDeletionPolicy,
) -> Result<Vec<KafkaTopic>, Error> {
    topics
        .iter()
        .map(|topic| {
            let settings = settings.iter().find(|settings| settings.name == topic.name);
            one(owner, place, prefix, topic, settings, policy)
        })
        .collect()
}

fn one(
    owner: &Owner,
    place: &Place,
    prefix: &str,
    topic: &Topic,
    settings: Option<&TopicSettings>,
    policy: TopicDeletionPolicy,
) -> Result<KafkaTopic, Error> {
    let replicas = settings.and_then(|settings| settings.replicas).unwrap_or(place.replicas);
    let in_sync =
        settings.and_then(|settings| settings.min_in_sync_replicas).unwrap_or((replicas - 1).max(1));
    if in_sync > replicas {
        return Err(Error::Invalid(format!(
            "topic {}: minInSyncReplicas {in_sync} is above its {replicas} replicas, so nothing could be written",
            topic.name
        )));
    }
    let retention = match settings.and_then(|settings| settings.retention.as_deref()) {
        None => topic.retention.millis(),
        Some("unlimited") => -1,
        Some(text) => millis(text)?,
    };
    let mut metadata = ObjectMeta {
        name: Some(format!("{prefix}{}", topic.name)),
        namespace: Some(place.namespace.clone()),
        labels: Some(labels(&owner.name, topic.name)),
        ..ObjectMeta::default()
    };
    metadata.labels.get_or_insert_default().insert(CLUSTER_LABEL.into(), place.cluster.clone());
    owner.sign(&mut metadata);
    if policy == TopicDeletionPolicy::Delete && place.namespace == owner.namespace {
        metadata.owner_references = Some(vec![owner.reference(false)]);
    }
    Ok(KafkaTopic {
        types: None,
        metadata,
        spec: KafkaTopicSpec {
            topic_name: None,
            partitions: Some(topic.partitions),
            replicas: Some(replicas),
            config: BTreeMap::from([
                ("cleanup.policy".into(), "delete".into()),
                ("retention.ms".into(), retention.into()),
                ("min.insync.replicas".into(), in_sync.into()),
            ]),
        },
        status: None,
    })
}

fn millis(text: &str) -> Result<i64, Error> {
    let duration: Duration =
        text.parse().map_err(|error| Error::Invalid(format!("retention {text} is no duration: {error}")))?;
    i64::try_from(std::time::Duration::from(duration).as_millis())
        .map_err(|_| Error::Invalid(format!("retention {text} is too long")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::{OF_STOCK, OF_WORKFLOW};

    fn owner(namespace: &str) -> Owner {
        Owner {
            kind: "OrderWorkflow".into(),
            namespace: namespace.into(),
            name: "main".into(),
            uid: "u1".into(),
        }
    }

    fn place(replicas: i32) -> Place {
        Place { cluster: "kbnt".into(), namespace: "kafka".into(), replicas }
    }

    fn settings(
        name: &str,
        retention: Option<&str>,
        replicas: Option<i32>,
        in_sync: Option<i32>,
    ) -> TopicSettings {
        TopicSettings {
            name: name.into(),
            retention: retention.map(Into::into),
            replicas,
            min_in_sync_replicas: in_sync,
        }
    }

    #[test]
    fn the_documented_topics_have_the_documented_partitions_and_retention() {
        let policy = TopicDeletionPolicy::Retain;
        let mut topics = build(&owner("shop"), &place(3), "", &OF_WORKFLOW, &[], policy).unwrap();
        topics.extend(build(&owner("shop"), &place(3), "", &OF_STOCK, &[], policy).unwrap());
        let facts: Vec<_> = topics
            .iter()
            .map(|topic| {
                let spec = &topic.spec;
                assert_eq!(spec.config["cleanup.policy"], "delete");
                let name = topic.metadata.name.clone().unwrap();
                (name, spec.partitions.unwrap(), spec.config["retention.ms"].as_i64().unwrap())
            })
            .collect();
        let day = 86_400_000;
        let documented = [
            ("user-events", 3, -1),
            ("order-events", 3, -1),
            ("payment-events", 3, -1),
            ("notification-events", 3, 7 * day),
            ("audit-logs", 1, 365 * day),
            ("application-logs", 2, 7 * day),
            ("inventory-events", 3, -1),
        ];
        assert_eq!(
            facts,
            documented.map(|(name, partitions, retention)| (name.to_owned(), partitions, retention))
        );
    }

    #[test]
    fn settings_change_one_topic_and_copies_decide_how_many_must_be_in_sync() {
        let custom = [
            settings("audit-logs", Some("48h30m"), Some(2), None),
            settings("user-events", Some("unlimited"), None, Some(3)),
        ];
        let topics =
            build(&owner("shop"), &place(3), "a-", &OF_WORKFLOW, &custom, TopicDeletionPolicy::Retain)
                .unwrap();
        let of = |name: &str| {
            let spec =
                &topics.iter().find(|topic| topic.metadata.name.as_deref() == Some(name)).unwrap().spec;
            let number = |key: &str| spec.config[key].as_i64().unwrap();
            (spec.replicas.unwrap(), number("min.insync.replicas"), number("retention.ms"))
        };
        assert_eq!(of("a-audit-logs"), (2, 1, 174_600_000));
        assert_eq!(of("a-user-events"), (3, 3, -1));
        assert_eq!(of("a-order-events"), (3, 2, -1));
        let single =
            build(&owner("shop"), &place(1), "", &OF_STOCK, &[], TopicDeletionPolicy::Retain).unwrap();
        assert_eq!(single[0].spec.config["min.insync.replicas"], 1);
        let impossible = [settings("inventory-events", None, None, Some(2))];
        let error = build(&owner("shop"), &place(1), "", &OF_STOCK, &impossible, TopicDeletionPolicy::Retain)
            .unwrap_err();
        assert!(error.to_string().contains("minInSyncReplicas 2 is above its 1 replicas"), "{error}");
    }

    #[test]
    fn only_a_topic_in_the_namespace_of_its_owner_that_goes_with_it_has_an_owner_reference() {
        for (namespace, policy, referenced) in [
            ("kafka", TopicDeletionPolicy::Delete, true),
            ("kafka", TopicDeletionPolicy::Retain, false),
            ("shop", TopicDeletionPolicy::Delete, false),
        ] {
            let topics = build(&owner(namespace), &place(1), "", &OF_STOCK, &[], policy).unwrap();
            let meta = &topics[0].metadata;
            assert_eq!(meta.owner_references.is_some(), referenced, "{namespace} {policy:?}");
            assert_eq!(owner(namespace).other_holder(meta), None);
            assert_eq!(owner("else").other_holder(meta), Some(format!("OrderWorkflow {namespace}/main")));
            assert_eq!(meta.labels.as_ref().unwrap()[CLUSTER_LABEL], "kbnt");
        }
    }
}
