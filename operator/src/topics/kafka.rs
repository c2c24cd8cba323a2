//! Where the Kafka cluster of a VirtualStock is.

use kbnt_crds::virtual_stock::KafkaSpec;

use crate::cluster::Scope;
use crate::error::Error;

/// Where a Kafka cluster is, and how its topics lie there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kafka {
    /// `host:port[,host:port]`.
    pub bootstrap: String,
    /// Put before each topic name.
    pub prefix: String,
    /// Where its KafkaTopics lie; none where Strimzi does not run it.
    pub place: Option<Place>,
}

/// Where the KafkaTopics of a cluster lie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Name of the Kafka resource.
    pub cluster: String,
    /// Namespace of the Kafka resource and its topics.
    pub namespace: String,
    /// Copies of each partition.
    pub replicas: i32,
}

impl Kafka {
    /// What the spec of a VirtualStock in `namespace` says, if the operator can reach there.
    pub fn of(spec: &KafkaSpec, namespace: &str, reach: &Scope) -> Result<Self, Error> {
        let prefix = spec.topic_prefix.clone();
        match (&spec.cluster_ref, &spec.bootstrap_servers) {
            (Some(cluster), None) => {
                let at = cluster.namespace.as_deref().unwrap_or(namespace);
                if !reach.has(at) {
                    return Err(Error::Invalid(format!(
                        "this operator does not look after namespace {at}, where the Kafka cluster {} is: add it to \
                         kafkaNamespaces of the operator's chart",
                        cluster.name
                    )));
                }
                Ok(Self {
                    bootstrap: format!("{}-kafka-bootstrap.{at}.svc:9092", cluster.name),
                    prefix,
                    place: Some(Place {
                        cluster: cluster.name.clone(),
                        namespace: at.to_owned(),
                        replicas: spec.topic_replicas,
                    }),
                })
            }
            (None, Some(servers)) => Ok(Self { bootstrap: servers.clone(), prefix, place: None }),
            _ => {
                Err(Error::Invalid("give exactly one of kafka.clusterRef and kafka.bootstrapServers".into()))
            }
        }
    }
}
