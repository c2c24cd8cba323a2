//! `VirtualStock`: declared stock, the topic of its events and the service that keeps its ledger.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::checkpoints::CheckpointsSpec;
use crate::closed_orders::ClosedOrdersSpec;
use crate::common::{ServiceSpec, ServiceState, TopicDeletionPolicy, TopicSettings, TopicState};

/// Stock that is declared here, reserved by orders and never oversold. Runs inventory-service, which keeps the
/// ledger of this stock in the Kafka topic inventory-events.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "kbnt.dev",
    version = "v1alpha1",
    kind = "VirtualStock",
    plural = "virtualstocks",
    shortname = "vs",
    category = "kbnt",
    namespaced,
    status = "VirtualStockStatus",
    derive = "PartialEq",
    scale(
        spec_replicas_path = ".spec.inventory.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    doc = "Stock that is declared here, reserved by orders and never oversold. Runs inventory-service, which keeps the ledger of this stock in the Kafka topic inventory-events.",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')")
        .message("metadata.name becomes part of Service names: use at most 40 lower case letters, digits and '-', beginning with a letter"),
    validation = Rule::new("self.spec.topicDeletionPolicy != 'Delete' || has(self.spec.kafka.clusterRef)")
        .message("topicDeletionPolicy Delete goes with kafka.clusterRef: where Strimzi does not run Kafka, the operator deletes no topics. Leave it Retain, and delete them yourself"),
    validation = Rule::new("!has(self.spec.topics) || self.spec.topics.all(t, !has(t.minInSyncReplicas) || has(t.replicas) || t.minInSyncReplicas <= self.spec.kafka.topicReplicas)")
        .message("minInSyncReplicas cannot be above kafka.topicReplicas where the topic gives no replicas, or nothing could be written"),
    printcolumn(name = "Products", type_ = "integer", json_path = ".status.totals.products", description = "Products in the ledger"),
    printcolumn(name = "Real", type_ = "integer", json_path = ".status.totals.real", description = "Units that exist"),
    printcolumn(name = "Reserved", type_ = "integer", json_path = ".status.totals.reserved", description = "Units held by active reservations"),
    printcolumn(name = "Available", type_ = "integer", json_path = ".status.totals.available", description = "Units that can be reserved: real - reserved"),
    printcolumn(name = "Reservations", type_ = "integer", json_path = ".status.totals.activeReservations", description = "Active reservations"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether orders can reserve from this stock"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why it is ready or not"),
    printcolumn(name = "Low", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type==\"LowStock\")].status", description = "Whether a product is below its threshold"),
    printcolumn(name = "TTL", type_ = "string", priority = 1, json_path = ".spec.reservation.ttl", description = "How long a reservation holds"),
    printcolumn(name = "Paused", type_ = "boolean", priority = 1, json_path = ".spec.paused", description = "Whether the operator leaves this resource alone")
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualStockSpec {
    /// The Kafka cluster that holds the events. It cannot be changed: the ledger lies there.
    pub kafka: KafkaSpec,
    /// How reservations behave.
    #[serde(default)]
    pub reservation: ReservationSpec,
    /// A product with fewer units available than this is low on stock, unless it says otherwise itself.
    #[serde(default = "ten")]
    #[x_kube(validation = Rule::new(kbnt_rules::THRESHOLD).message(kbnt_rules::THRESHOLD_ADVICE))]
    pub low_stock_threshold: i64,
    /// The stock, product by product: 1 to 1,000 of them. A product that is taken out of this list keeps its
    /// stock and its reservations; to take the units away, first lower `received`.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[schemars(length(min = 1, max = 1000))]
    pub products: Vec<Product>,
    /// How inventory-service runs. One pod writes; the others stand by.
    #[serde(default)]
    #[x_kube(validation = Rule::new("!has(self.autoscaling)")
        .message("one pod of inventory-service writes and the others stand by, so more of them do not make it faster: leave autoscaling out"))]
    #[x_kube(validation = Rule::new("!self.staticMembership")
        .message("inventory-service is in no consumer group, as its pods take turns by a Lease: leave staticMembership out"))]
    pub inventory: ServiceSpec,
    /// How inventory-service remembers orders that have ended. All but the newest lie on disk.
    #[serde(default)]
    pub closed_orders: ClosedOrdersSpec,
    /// Keep checkpoints of inventory-service in a place that outlives its pods, from which a new pod starts. Without it a new
    /// pod folds the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<CheckpointsSpec>,
    /// Settings of the topic inventory-events that differ from the defaults: `topicReplicas` copies. Its retention is
    /// unlimited and cannot be anything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new("self.all(t, t.name == 'inventory-events')")
        .message("the one topic of a VirtualStock is inventory-events; the others belong to the OrderWorkflow"))]
    #[x_kube(validation = Rule::new("self.all(t, !has(t.retention) || t.retention == 'unlimited')")
        .message("inventory-events is the ledger itself: were its records deleted, units that are sold would be sold again. Leave retention out, or 'unlimited'"))]
    #[schemars(length(max = 1))]
    pub topics: Vec<TopicSettings>,
    /// What happens to the topic, and so to the ledger in it, when this resource is deleted. Delete needs
    /// kafka.clusterRef.
    #[serde(default)]
    pub topic_deletion_policy: TopicDeletionPolicy,
    /// Whether the operator leaves alone everything but the status.
    #[serde(default)]
    pub paused: bool,
}

/// Which Kafka cluster, and how topics lie there.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.clusterRef) != has(self.bootstrapServers)")
        .message("give exactly one of kafka.clusterRef (a Strimzi Kafka cluster) and kafka.bootstrapServers (any other)"),
    validation = Rule::new("has(self.clusterRef) == has(oldSelf.clusterRef) && (!has(self.clusterRef) || self.clusterRef == oldSelf.clusterRef)")
        .message("kafka.clusterRef cannot be changed, because the ledger lies in that cluster: create another VirtualStock instead"),
    validation = Rule::new("has(self.bootstrapServers) == has(oldSelf.bootstrapServers) && (!has(self.bootstrapServers) || self.bootstrapServers == oldSelf.bootstrapServers)")
        .message("kafka.bootstrapServers cannot be changed, because the ledger lies in that cluster: create another VirtualStock instead"),
    validation = Rule::new("self.topicPrefix == oldSelf.topicPrefix")
        .message("kafka.topicPrefix cannot be changed, because topics cannot be renamed: create another VirtualStock instead"),
    validation = Rule::new("!has(self.port) || has(self.clusterRef)")
        .message("kafka.port goes with kafka.clusterRef; kafka.bootstrapServers has ports of its own"),
    validation = Rule::new("!has(self.authentication) || !has(self.authentication.mtls) || has(self.tls)")
        .message("kafka.authentication.mtls needs kafka.tls: give tls: {} for the cluster's own CA"),
    validation = Rule::new("!has(self.users) || has(self.clusterRef)")
        .message("kafka.users goes with kafka.clusterRef: where Strimzi does not run Kafka, make the users yourself and give kafka.authentication"),
    validation = Rule::new("!has(self.users) || !has(self.authentication)")
        .message("give kafka.users (a user of its own for each service) or kafka.authentication (one that is there already), not both"),
    validation = Rule::new("!has(self.users) || self.users.authentication != 'tls' || has(self.tls)")
        .message("kafka.users with authentication tls needs kafka.tls: give tls: {} for the cluster's own CA")
)]
pub struct KafkaSpec {
    /// A Kafka cluster that Strimzi runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_ref: Option<ClusterRef>,
    /// Addresses `host:port[,host:port]` of a Kafka cluster that Strimzi does not run. A Job makes the topics that are
    /// missing and corrects the settings of those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(kbnt_rules::SERVERS).message(kbnt_rules::SERVERS_ADVICE))]
    #[schemars(length(max = 1024))]
    pub bootstrap_servers: Option<String>,
    /// Copies of each partition of each topic. A cluster with fewer brokers than this cannot make the topics.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 15))]
    pub topic_replicas: i32,
    /// Text put before each topic name, such as `shop-`, so that several stocks can share a cluster.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.matches('^([a-z0-9]+([.-][a-z0-9]+)*[.-]?)?$')")
        .message("topicPrefix must be lower case letters and digits with single '-' or '.' between, such as shop-"))]
    #[schemars(length(max = 60))]
    pub topic_prefix: String,
    /// Port of the listener that services use, with clusterRef. Defaults to 9092, or 9093 with tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// Services reach the brokers over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    /// How services authenticate. They do not without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<KafkaAuthentication>,
    /// Have Strimzi make a KafkaUser for each service, with the rights that it needs and no others. Needs clusterRef, and
    /// kafkaUsers.enabled in the operator's chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<KafkaUsers>,
}

/// A user for each service, made by Strimzi.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct KafkaUsers {
    /// How the services log in.
    pub authentication: UserAuthentication,
}

/// How the user of a service logs in. The listener at kafka.port has to take that.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserAuthentication {
    /// By user name and password, which Strimzi makes up.
    #[default]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// By a client certificate, which Strimzi signs. Needs kafka.tls.
    Tls,
}

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaTls {
    /// Secret in the namespace of this resource, all of whose `*.crt` are trusted. With clusterRef it defaults to Strimzi's
    /// own, `<cluster>-cluster-ca-cert`; where the cluster is in another namespace, copy that one here. With
    /// bootstrapServers, the CAs of the image are trusted without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_secret_name: Option<String>,
}

/// How services authenticate: exactly one of the fields.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.scram) != has(self.mtls)")
    .message("give exactly one of authentication.scram and authentication.mtls"))]
pub struct KafkaAuthentication {
    /// By user name and password, with SCRAM-SHA-512.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scram: Option<KafkaScram>,
    /// By a client certificate. Needs tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtls: Option<KafkaMtls>,
}

/// User name and password.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaScram {
    /// The user: of Strimzi, the name of the KafkaUser.
    #[schemars(length(min = 1, max = 253))]
    pub username: String,
    /// Secret in the namespace of this resource with the password under the key `password`, as Strimzi makes it.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// A client certificate.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KafkaMtls {
    /// Secret in the namespace of this resource with `user.crt` and `user.key`, as Strimzi makes it.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// A Kafka cluster that Strimzi runs.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct ClusterRef {
    /// Name of the Kafka resource.
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("kafka.clusterRef has names of Kubernetes: lower case letters, digits and '-', beginning and ending with a letter or digit"))]
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Namespace of the Kafka resource. Defaults to that of this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("kafka.clusterRef has names of Kubernetes: lower case letters, digits and '-', beginning and ending with a letter or digit"))]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// How reservations behave.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct ReservationSpec {
    /// How long a reservation holds its units before they are available again: 1s to 24h, such as `15m` or
    /// `1h30m`. A change counts for reservations made from then on.
    #[serde(default = "fifteen_minutes")]
    #[x_kube(validation = Rule::new(
        "self != '' && self.matches('^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$') \
         && duration(self) >= duration('1s') && duration(self) <= duration('24h')"
    ).message("reservation.ttl must be a duration from 1s to 24h, such as 90s, 15m or 1h30m"))]
    #[schemars(length(max = 18))]
    pub ttl: String,
}

impl Default for ReservationSpec {
    fn default() -> Self {
        Self { ttl: fifteen_minutes() }
    }
}

/// One product and the units of it that ever came in.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    /// What orders call it: 1 to 64 letters, digits, '-', '_' and '.'. Unique in the list.
    #[x_kube(validation = Rule::new(kbnt_rules::PRODUCT_ID).message(kbnt_rules::PRODUCT_ID_ADVICE))]
    #[schemars(length(max = 64))]
    pub id: String,
    /// What people call it: 1 to 200 characters, not only blanks, none of them a control character.
    #[x_kube(validation = Rule::new(kbnt_rules::NAME).message(kbnt_rules::NAME_ADVICE))]
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Price of one unit as decimal text in quotes, such as "599.99".
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,12}([.][0-9]{1,2})?$')")
        .message("unitPrice must be a decimal in quotes with at most two places, such as \"599.99\""))]
    #[schemars(length(max = 15))]
    pub unit_price: String,
    /// Units ever received, a count that only grows: to receive 50 more where 100 were received, write 150.
    /// Lowering it writes units off, which is refused where they are reserved.
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1000000000000")
        .message("received is the count of units ever received: it cannot be negative, nor above 1,000,000,000,000"))]
    pub received: i64,
    /// This product is low on stock with fewer units available than this. Defaults to that of the VirtualStock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(kbnt_rules::THRESHOLD).message(kbnt_rules::THRESHOLD_ADVICE))]
    pub low_stock_threshold: Option<i64>,
}

/// What the operator last saw.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualStockStatus {
    /// Generation of the resource that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// TopicsReady, UsersReady (with kafka.users), LogIntact, WorkloadsAvailable, StockDeclared, LedgerBalanced, LowStock
    /// and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The ledger in sum, at most a few seconds old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    /// The ledger by product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub products: Vec<ProductLevel>,
    /// The topic of this stock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub topics: Vec<TopicState>,
    /// The service of this stock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceState>,
    /// Pods of inventory-service that can be used, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// By which labels these pods are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Where inventory-service answers within the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// The ledger in sum.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Units that exist.
    pub real: i64,
    /// Units held by active reservations.
    pub reserved: i64,
    /// Units that can be reserved: real - reserved.
    pub available: i64,
    /// Reservations that hold units.
    pub active_reservations: i64,
    /// Products known.
    pub products: i64,
}

/// One product in the ledger.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ProductLevel {
    /// The product.
    pub id: String,
    /// Units that exist.
    pub real: i64,
    /// Units held by active reservations.
    pub reserved: i64,
    /// Units that can be reserved: real - reserved.
    pub available: i64,
}

fn ten() -> i64 {
    10
}

fn three() -> i32 {
    3
}

fn fifteen_minutes() -> String {
    "15m".into()
}
