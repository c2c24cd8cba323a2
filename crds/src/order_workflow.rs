//! `OrderWorkflow`: the services and topics that take orders against a `VirtualStock`.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::checkpoints::CheckpointsSpec;
use crate::common::{
    Empty, SecretRef, ServiceSpec, ServiceState, SingleServiceSpec, TopicDeletionPolicy, TopicSettings,
    TopicState,
};
use crate::read_model::ReadModelSpec;

/// Takes orders against a VirtualStock: runs user-, payment-, order-, notification- and audit-service, and keeps
/// their six Kafka topics, in the cluster and with the topic prefix of the VirtualStock.
#[derive(Clone, CustomResource, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[kube(
    group = "kbnt.dev",
    version = "v1alpha1",
    kind = "OrderWorkflow",
    plural = "orderworkflows",
    shortname = "ow",
    category = "kbnt",
    namespaced,
    status = "OrderWorkflowStatus",
    derive = "PartialEq",
    doc = "Takes orders against a VirtualStock: runs user-, payment-, order-, notification- and audit-service, and keeps their six Kafka topics, in the cluster and with the topic prefix of the VirtualStock.",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')")
        .message("metadata.name becomes part of Service names: use at most 40 lower case letters, digits and '-', beginning with a letter"),
    printcolumn(name = "Stock", type_ = "string", json_path = ".spec.virtualStockRef.name", description = "The VirtualStock that orders reserve from"),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.orders.pending", description = "Orders under way"),
    printcolumn(name = "Confirmed", type_ = "integer", json_path = ".status.orders.confirmed", description = "Orders paid and confirmed"),
    printcolumn(name = "Rejected", type_ = "integer", json_path = ".status.orders.rejected", description = "Orders refused before anything was reserved"),
    printcolumn(name = "Cancelled", type_ = "integer", json_path = ".status.orders.cancelled", description = "Orders undone after a reservation"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status", description = "Whether orders are processed"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", priority = 1, json_path = ".status.conditions[?(@.type==\"Ready\")].reason", description = "Why it is ready or not"),
    printcolumn(name = "Endpoint", type_ = "string", priority = 1, json_path = ".status.endpoint", description = "Where orders are taken"),
    printcolumn(name = "Paused", type_ = "boolean", priority = 1, json_path = ".spec.paused", description = "Whether the operator leaves this resource alone")
)]
#[serde(rename_all = "camelCase")]
pub struct OrderWorkflowSpec {
    /// The VirtualStock, in the same namespace, that orders reserve from. It cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf")
        .message("virtualStockRef cannot be changed, because orders under way hold reservations there: create another OrderWorkflow instead"))]
    pub virtual_stock_ref: VirtualStockRef,
    /// How each service runs.
    #[serde(default)]
    pub services: Services,
    /// Who takes the money. There is no default: an order is paid where this says, or not at all.
    pub payment: PaymentSpec,
    /// How customers are told.
    #[serde(default)]
    pub notification: NotificationSpec,
    /// Who may order.
    #[serde(default)]
    pub users: UsersSpec,
    /// Keep all orders on disk, so that order-service shows and searches those of long ago, too. Without it an order is
    /// shown for 24h after its end, and only the newest 200,000 are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_model: Option<ReadModelSpec>,
    /// Keep checkpoints of user-service, audit-service and, with `readModel`, order-service in a place that outlives their pods, from
    /// which a new pod starts. Without it a new pod folds the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoints: Option<CheckpointsSpec>,
    /// Settings of topics that differ from the defaults: retention of 168h for notification-events and application-logs,
    /// 8760h for audit-logs. That of user-events, order-events and payment-events is unlimited and cannot be anything else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = Rule::new(
        "self.all(t, t.name in ['user-events', 'order-events', 'payment-events', 'notification-events', 'audit-logs', 'application-logs'])"
    ).message("the topics of an OrderWorkflow are user-events, order-events, payment-events, notification-events, audit-logs and application-logs; inventory-events belongs to the VirtualStock"))]
    #[x_kube(validation = Rule::new(
        "self.all(t, !(t.name in ['user-events', 'order-events', 'payment-events']) || !has(t.retention) || t.retention == 'unlimited')"
    ).message("user-events, order-events and payment-events are event stores: were their records deleted, services would forget what they did. Leave retention out, or 'unlimited'"))]
    #[schemars(length(max = 6))]
    pub topics: Vec<TopicSettings>,
    /// What happens to the topics, and so to the events in them, when this resource is deleted. Delete needs
    /// kafka.clusterRef in the VirtualStock.
    #[serde(default)]
    pub topic_deletion_policy: TopicDeletionPolicy,
    /// Whether the operator leaves alone everything but the status.
    #[serde(default)]
    pub paused: bool,
}

/// A VirtualStock in the same namespace.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct VirtualStockRef {
    /// Name of the VirtualStock.
    #[schemars(length(min = 1, max = 40))]
    pub name: String,
}

/// How each service runs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Services {
    /// user-service validates and manages users.
    #[serde(default)]
    pub user: ServiceSpec,
    /// payment-service takes and refunds payments.
    #[serde(default)]
    pub payment: ServiceSpec,
    /// order-service accepts orders and drives each to its end.
    #[serde(default)]
    pub order: ServiceSpec,
    /// notification-service tells the customer.
    #[serde(default)]
    pub notification: ServiceSpec,
    /// audit-service writes the audit trail.
    #[serde(default)]
    pub audit: SingleServiceSpec,
}

/// Who takes the money: exactly one of the fields.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("has(self.simulated) != has(self.http)")
    .message("give exactly one of payment.simulated and payment.http"))]
pub struct PaymentSpec {
    /// A simulated gateway, for trying things out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulated: Option<SimulatedPayment>,
    /// A payment gateway over HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpPayment>,
}

/// A simulated gateway, which decides by rules.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedPayment {
    /// Amounts above this are declined: decimal text in quotes, such as "10000.00". None are without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[0-9]{1,12}([.][0-9]{1,2})?$')")
        .message("declineAbove must be a decimal in quotes with at most two places, such as \"10000.00\""))]
    #[schemars(length(max = 15))]
    pub decline_above: Option<String>,
    /// Whether tokens such as `tok_decline` and `tok_delay_500ms` decide over the outcome. They are for demonstrations and
    /// tests: with them, whoever places an order can hold payments up.
    #[serde(default)]
    pub test_tokens: bool,
}

/// A payment gateway over HTTP.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpPayment {
    /// Where it is, an absolute `http://` or `https://` URL.
    #[x_kube(validation = Rule::new(kbnt_rules::BASE_URL).message(kbnt_rules::BASE_URL_ADVICE))]
    #[schemars(length(max = 2048))]
    pub url: String,
    /// Secret in the namespace of this resource with the bearer token that the gateway wants, if it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// How customers are told: exactly one of the fields.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[x_kube(validation = Rule::new("has(self.log) != has(self.webhook)")
    .message("give exactly one of notification.log and notification.webhook"))]
pub struct NotificationSpec {
    /// Write notifications to the service's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Empty>,
    /// Post notifications to a URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

impl Default for NotificationSpec {
    fn default() -> Self {
        Self { log: Some(Empty {}), webhook: None }
    }
}

/// Where notifications are posted.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where to post, an absolute `http://` or `https://` URL.
    #[x_kube(validation = Rule::new(kbnt_rules::URL).message(kbnt_rules::URL_ADVICE))]
    #[schemars(length(max = 2048))]
    pub url: String,
    /// Secret in the namespace of this resource with what signs each post: `whsec_` and base64, as
    /// standardwebhooks.com says.
    pub secret_ref: SecretRef,
}

/// Who may order.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsersSpec {
    /// Whether users who are not known may order, too.
    #[serde(default)]
    pub allow_unknown: bool,
    /// Users that exist from the start, at most 1,000. Others can be made over HTTP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    #[schemars(length(max = 1000))]
    pub declared: Vec<User>,
}

/// One user.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
pub struct User {
    /// Who it is in orders: 1 to 64 letters, digits, '-', '_' and '.'. Unique in the list.
    #[x_kube(validation = Rule::new(kbnt_rules::USER_ID).message(kbnt_rules::USER_ID_ADVICE))]
    #[schemars(length(max = 64))]
    pub id: String,
    /// Full name: 1 to 200 characters, not only blanks, none of them a control character.
    #[x_kube(validation = Rule::new(kbnt_rules::NAME).message(kbnt_rules::NAME_ADVICE))]
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Address for notifications, of at most 254 bytes in UTF-8.
    #[x_kube(validation = Rule::new(kbnt_rules::EMAIL).message(kbnt_rules::EMAIL_ADVICE))]
    #[schemars(length(max = 254))]
    pub email: String,
}

/// What the operator last saw.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderWorkflowStatus {
    /// Generation of the resource that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// StockReady, TopicsReady, UsersReady (with kafka.users of the VirtualStock), LogIntact, WorkloadsAvailable,
    /// UsersDeclared and Ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The services of this workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub services: Vec<ServiceState>,
    /// The topics of this workflow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub topics: Vec<TopicState>,
    /// Where order-service takes orders within the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Orders by their state, at most a few seconds old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<OrderCounts>,
}

/// Orders by their state.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct OrderCounts {
    /// Under way.
    pub pending: i64,
    /// Paid and confirmed.
    pub confirmed: i64,
    /// Refused before anything was reserved.
    pub rejected: i64,
    /// Undone after a reservation.
    pub cancelled: i64,
}
