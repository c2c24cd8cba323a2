//! Locates the Kafka cluster of a VirtualStock.

use kbnt_crds::virtual_stock::{KafkaAuthentication, KafkaSpec, KafkaTls, UserAuthentication};

use crate::error::Error;
use crate::kube::Scope;

/// A Kafka cluster, and how topics are named and replicated on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kafka {
    /// `host:port[,host:port]`.
    pub bootstrap: String,
    /// Prefix of each topic name.
    pub prefix: String,
    /// Copies of each partition.
    pub replicas: i32,
    /// Where its KafkaTopics lie; `None` if Strimzi does not run the cluster.
    pub place: Option<Place>,
    /// Certificates to trust, if the brokers are reached over TLS.
    pub trust: Option<Trust>,
    /// How services authenticate, if all do it in the same way.
    pub login: Login,
    /// How each service authenticates as its own user, if Strimzi makes these users.
    pub users: Option<UserAuthentication>,
}

/// Certificates to trust.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The CAs of the image.
    System,
    /// The CAs in this Secret.
    Secret(String),
}

/// How services authenticate.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Login {
    /// No authentication.
    #[default]
    None,
    /// By user name and password, the password in a Secret.
    Scram {
        /// The user.
        username: String,
        /// The Secret.
        secret: String,
    },
    /// By client certificate, in this Secret.
    Mtls(String),
}

impl Login {
    fn of(spec: Option<&KafkaAuthentication>) -> Result<Self, Error> {
        let Some(spec) = spec else { return Ok(Self::None) };
        match (&spec.scram, &spec.mtls) {
            (Some(scram), None) => {
                Ok(Self::Scram { username: scram.username.clone(), secret: scram.secret_name.clone() })
            }
            (None, Some(mtls)) => Ok(Self::Mtls(mtls.secret_name.clone())),
            _ => {
                Err(Error::Invalid("give exactly one of authentication.scram and authentication.mtls".into()))
            }
        }
    }
}

/// Where the KafkaTopics of a cluster lie.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Name of the Kafka resource.
    pub cluster: String,
    /// Namespace of the Kafka resource and its topics.
    pub namespace: String,
}

impl Kafka {
    /// The Kafka cluster in the spec of a VirtualStock in `namespace`, if the operator can reach it.
    pub fn of(spec: &KafkaSpec, namespace: &str, reach: &Scope) -> Result<Self, Error> {
        let (prefix, replicas) = (spec.topic_prefix.clone(), spec.topic_replicas);
        let login = Login::of(spec.authentication.as_ref())?;
        let trust = |own: Option<String>| {
            let secret = |tls: &KafkaTls| tls.ca_secret_name.clone().or(own);
            spec.tls.as_ref().map(|tls| secret(tls).map_or(Trust::System, Trust::Secret))
        };
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
                let port = spec.port.unwrap_or(if spec.tls.is_some() { 9093 } else { 9092 });
                Ok(Self {
                    bootstrap: format!("{}-kafka-bootstrap.{at}.svc:{port}", cluster.name),
                    prefix,
                    replicas,
                    trust: trust(Some(format!("{}-cluster-ca-cert", cluster.name))),
                    login,
                    users: spec.users.as_ref().map(|users| users.authentication),
                    place: Some(Place { cluster: cluster.name.clone(), namespace: at.to_owned() }),
                })
            }
            // The resource may be older than the rule.
            (None, Some(servers)) if !kbnt_rules::is_servers(servers) => Err(Error::Invalid(format!(
                "kafka.bootstrapServers {servers:?}: {}",
                kbnt_rules::SERVERS_ADVICE
            ))),
            (None, Some(servers)) => Ok(Self {
                bootstrap: servers.clone(),
                prefix,
                replicas,
                place: None,
                trust: trust(None),
                login,
                users: None,
            }),
            _ => {
                Err(Error::Invalid("give exactly one of kafka.clusterRef and kafka.bootstrapServers".into()))
            }
        }
    }
}
