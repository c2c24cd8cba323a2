//! Builds the desired topics, for Strimzi or a Job.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::common::{TopicDeletionPolicy, TopicSettings};
use kbnt_crds::kafka_topic::CLUSTER_LABEL;
use kbnt_crds::pod::PodTemplate;
use kbnt_crds::{KafkaTopic, KafkaTopicSpec};
use kube::core::Duration;

use super::{Direct, Topic, direct};
use crate::error::Error;
use crate::kafka_cluster::{Kafka, Place};
use crate::labels::labels;
use crate::owned::DesiredObject;
use crate::ownership::Owner;

/// The topics of a resource, by who makes them.
#[derive(Clone, Debug, PartialEq)]
pub enum Topics {
    /// Strimzi, by these objects.
    Strimzi(Vec<KafkaTopic>),
    /// A Job, because Strimzi does not run the cluster.
    Direct(Box<Direct>),
}

impl Topics {
    /// The KafkaTopics, where Strimzi makes the topics.
    pub fn objects(&self) -> &[KafkaTopic] {
        match self {
            Self::Strimzi(topics) => topics,
            Self::Direct(_) => &[],
        }
    }

    /// The Job, where Strimzi does not make the topics.
    pub fn job(&self) -> Option<&Job> {
        match self {
            Self::Strimzi(_) => None,
            Self::Direct(direct) => Some(&direct.job),
        }
    }

    /// The objects that the operator makes for them.
    pub fn desired(&self) -> Vec<&dyn DesiredObject> {
        match self {
            Self::Strimzi(topics) => topics.iter().map(|topic| topic as &dyn DesiredObject).collect(),
            Self::Direct(direct) => vec![&direct.job],
        }
    }
}

/// What a resource asks for its topics.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Which topics.
    pub topics: &'a [Topic],
    /// Settings that differ from the defaults.
    pub settings: &'a [TopicSettings],
    /// What happens to them when the resource is deleted.
    pub policy: TopicDeletionPolicy,
    /// Image of the services. It contains the program that makes topics.
    pub image: &'a str,
    /// What the user adds to the pod that does so.
    pub template: &'a PodTemplate,
}

/// A desired topic.
pub(super) struct Wanted {
    /// Name, with the prefix.
    pub(super) name: String,
    topic: Topic,
    pub(super) spec: KafkaTopicSpec,
}

/// The topics of `owner` on the cluster `kafka`.
pub fn build(owner: &Owner, kafka: &Kafka, asked: Asked<'_>) -> Result<Topics, Error> {
    let settings = |topic: &Topic| asked.settings.iter().find(|settings| settings.name == topic.name);
    let wanted = asked.topics.iter().map(|topic| wanted(kafka, topic, settings(topic)));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    match &kafka.place {
        Some(place) => {
            let object = |wanted| object(owner, place, wanted, asked.policy);
            Ok(Topics::Strimzi(wanted.into_iter().map(object).collect()))
        }
        None if asked.policy == TopicDeletionPolicy::Delete => Err(Error::Invalid(
            "topicDeletionPolicy Delete goes with kafka.clusterRef: where Strimzi does not run Kafka, the operator \
             deletes no topics. Leave it Retain, and delete them yourself"
                .into(),
        )),
        None => Ok(Topics::Direct(Box::new(direct::build(owner, kafka, &wanted, asked)?))),
    }
}

fn wanted(kafka: &Kafka, topic: &Topic, settings: Option<&TopicSettings>) -> Result<Wanted, Error> {
    let replicas = settings.and_then(|settings| settings.replicas).unwrap_or(kafka.replicas);
    let in_sync =
        settings.and_then(|settings| settings.min_in_sync_replicas).unwrap_or((replicas - 1).max(1));
    if in_sync > replicas {
        return Err(Error::Invalid(format!(
            "topic {}: minInSyncReplicas {in_sync} is above its {replicas} replicas, so nothing could be written",
            topic.name
        )));
    }
    let retention = match settings.and_then(|settings| settings.retention.as_deref()) {
        // The topic is the ledger: a resource may be older than the rule that forbids another value.
        _ if topic.is_event_store() => -1,
        None => topic.retention.millis(),
        Some("unlimited") => -1,
        Some(text) => millis(text)?,
    };
    let mut config = BTreeMap::from([
        ("cleanup.policy".into(), "delete".into()),
        ("retention.ms".into(), retention.into()),
        ("min.insync.replicas".into(), in_sync.into()),
    ]);
    if topic.is_event_store() {
        config.insert("retention.bytes".into(), (-1).into());
    }
    if let Some(largest) = topic.largest {
        config.insert("max.message.bytes".into(), largest.into());
    }
    Ok(Wanted {
        name: format!("{}{}", kafka.prefix, topic.name),
        topic: *topic,
        spec: KafkaTopicSpec {
            topic_name: None,
            partitions: Some(topic.partitions),
            replicas: Some(replicas),
            config,
        },
    })
}

fn object(owner: &Owner, place: &Place, wanted: Wanted, policy: TopicDeletionPolicy) -> KafkaTopic {
    let mut metadata = ObjectMeta {
        name: Some(wanted.name),
        namespace: Some(place.namespace.clone()),
        labels: Some(labels(&owner.name, wanted.topic.name)),
        ..ObjectMeta::default()
    };
    metadata.labels.get_or_insert_default().insert(CLUSTER_LABEL.into(), place.cluster.clone());
    owner.sign(&mut metadata);
    if policy == TopicDeletionPolicy::Delete && place.namespace == owner.namespace {
        metadata.owner_references = Some(vec![owner.reference(false)]);
    }
    KafkaTopic { types: None, metadata, spec: wanted.spec, status: None }
}

/// The retention settings of event stores that a resource has and the operator does not apply, described for
/// people.
pub fn ignored(topics: &[Topic], settings: &[TopicSettings]) -> Vec<String> {
    let stores = |name: &str| topics.iter().any(|topic| topic.name == name && topic.is_event_store());
    settings
        .iter()
        .filter(|settings| stores(&settings.name))
        .filter_map(|settings| Some((&settings.name, settings.retention.as_ref()?)))
        .filter(|(_, retention)| *retention != "unlimited")
        .map(|(name, retention)| {
            format!("retention {retention} of {name} is not applied, as it is an event store: take it out of spec.topics")
        })
        .collect()
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
    use crate::kafka_cluster::Login;
    use crate::topics::{OF_STOCK, OF_WORKFLOW};

    fn owner(namespace: &str) -> Owner {
        Owner {
            kind: "OrderWorkflow".into(),
            namespace: namespace.into(),
            name: "main".into(),
            uid: "u1".into(),
        }
    }

    fn kafka(replicas: i32, prefix: &str) -> Kafka {
        Kafka {
            bootstrap: "kafka:9092".into(),
            prefix: prefix.into(),
            replicas,
            place: Some(Place { cluster: "kbnt".into(), namespace: "kafka".into() }),
            trust: None,
            login: Login::None,
            users: None,
        }
    }

    fn made(
        owner: &Owner,
        kafka: &Kafka,
        topics: &[Topic],
        settings: &[TopicSettings],
        policy: TopicDeletionPolicy,
    ) -> Result<Topics, Error> {
        let template = PodTemplate::default();
        build(owner, kafka, Asked { topics, settings, policy, image: "services:1", template: &template })
    }

    fn objects(
        owner: &Owner,
        kafka: &Kafka,
        topics: &[Topic],
        settings: &[TopicSettings],
        policy: TopicDeletionPolicy,
    ) -> Vec<KafkaTopic> {
        made(owner, kafka, topics, settings, policy).unwrap().objects().to_vec()
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
        let mut topics = objects(&owner("shop"), &kafka(3, ""), &OF_WORKFLOW, &[], policy);
        topics.extend(objects(&owner("shop"), &kafka(3, ""), &OF_STOCK, &[], policy));
        let facts: Vec<_> = topics
            .iter()
            .map(|topic| {
                let spec = &topic.spec;
                assert_eq!(spec.config["cleanup.policy"], "delete");
                let name = topic.metadata.name.clone().unwrap();
                let largest = spec.config.get("max.message.bytes").map(|bytes| bytes.as_i64().unwrap());
                assert_eq!(largest, (name == "audit-logs").then_some(4 << 20), "{name}");
                let bytes = spec.config.get("retention.bytes").map(|bytes| bytes.as_i64().unwrap());
                let stores = ["user-events", "order-events", "payment-events", "inventory-events"];
                assert_eq!(bytes, stores.contains(&name.as_str()).then_some(-1), "{name}");
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
        let retain = TopicDeletionPolicy::Retain;
        let topics = objects(&owner("shop"), &kafka(3, "a-"), &OF_WORKFLOW, &custom, retain);
        let of = |name: &str| {
            let spec =
                &topics.iter().find(|topic| topic.metadata.name.as_deref() == Some(name)).unwrap().spec;
            let number = |key: &str| spec.config[key].as_i64().unwrap();
            (spec.replicas.unwrap(), number("min.insync.replicas"), number("retention.ms"))
        };
        assert_eq!(of("a-audit-logs"), (2, 1, 174_600_000));
        assert_eq!(of("a-user-events"), (3, 3, -1));
        assert_eq!(of("a-order-events"), (3, 2, -1));
        let single = objects(&owner("shop"), &kafka(1, ""), &OF_STOCK, &[], retain);
        assert_eq!(single[0].spec.config["min.insync.replicas"], 1);
        let impossible = [settings("inventory-events", None, None, Some(2))];
        let error = made(&owner("shop"), &kafka(1, ""), &OF_STOCK, &impossible, retain).unwrap_err();
        assert!(error.to_string().contains("minInSyncReplicas 2 is above its 1 replicas"), "{error}");
    }

    #[test]
    fn the_retention_of_an_event_store_is_unlimited_whatever_a_resource_says() {
        let retain = TopicDeletionPolicy::Retain;
        for (topic, topics) in
            OF_WORKFLOW.iter().map(|topic| (topic, &OF_WORKFLOW[..])).chain([(&OF_STOCK[0], &OF_STOCK[..])])
        {
            let custom = [settings(topic.name, Some("1m"), None, None)];
            let made = objects(&owner("shop"), &kafka(1, ""), topics, &custom, retain);
            let made = made.iter().find(|made| made.metadata.name.as_deref() == Some(topic.name)).unwrap();
            let retention = made.spec.config["retention.ms"].as_i64().unwrap();
            assert_eq!(retention, if topic.is_event_store() { -1 } else { 60_000 }, "{}", topic.name);
            assert_eq!(ignored(topics, &custom).len(), usize::from(topic.is_event_store()), "{}", topic.name);
        }
    }

    #[test]
    fn only_a_topic_in_the_namespace_of_its_owner_that_goes_with_it_has_an_owner_reference() {
        for (namespace, policy, referenced) in [
            ("kafka", TopicDeletionPolicy::Delete, true),
            ("kafka", TopicDeletionPolicy::Retain, false),
            ("shop", TopicDeletionPolicy::Delete, false),
        ] {
            let topics = objects(&owner(namespace), &kafka(1, ""), &OF_STOCK, &[], policy);
            let meta = &topics[0].metadata;
            assert_eq!(meta.owner_references.is_some(), referenced, "{namespace} {policy:?}");
            assert_eq!(owner(namespace).other_holder(meta), None);
            assert_eq!(owner("else").other_holder(meta), Some(format!("OrderWorkflow {namespace}/main")));
            assert_eq!(meta.labels.as_ref().unwrap()[CLUSTER_LABEL], "kbnt");
        }
    }

    #[test]
    fn what_nobody_would_delete_cannot_be_asked_to_be() {
        let direct = Kafka { place: None, ..kafka(3, "") };
        let error = made(&owner("shop"), &direct, &OF_STOCK, &[], TopicDeletionPolicy::Delete).unwrap_err();
        assert!(error.to_string().contains("the operator deletes no topics"), "{error}");
        let made = made(&owner("shop"), &direct, &OF_STOCK, &[], TopicDeletionPolicy::Retain).unwrap();
        assert!(made.objects().is_empty() && made.job().is_some());
    }
}
