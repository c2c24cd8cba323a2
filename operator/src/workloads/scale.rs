//! Scales a service: KEDA's ScaledObject by consumer lag, or a HorizontalPodAutoscaler by CPU use.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kbnt_crds::common::Autoscaling;
use serde_json::json;

use super::{Plan, Role};
use crate::owned::{ScaledObject, scaled_objects};

/// How a service is scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    /// The user's settings.
    pub spec: Autoscaling,
    /// Whether KEDA is available.
    pub keda: bool,
}

/// The object that scales a service.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaler {
    /// Kubernetes itself.
    Processor(Box<HorizontalPodAutoscaler>),
    /// KEDA.
    Lag(Box<ScaledObject>),
}

/// Builds the autoscaler of the Deployment of the same name.
pub(super) fn build(plan: &Plan, metadata: ObjectMeta) -> Option<Scaler> {
    let Scaling { spec, keda } = plan.scaling.as_ref()?;
    let name = metadata.name.clone().unwrap_or_default();
    Some(if *keda {
        Scaler::Lag(Box::new(by_lag(plan, spec, metadata, &name)))
    } else {
        Scaler::Processor(Box::new(by_processor(plan, spec, metadata, name)))
    })
}

fn by_processor(
    plan: &Plan,
    spec: &Autoscaling,
    metadata: ObjectMeta,
    name: String,
) -> HorizontalPodAutoscaler {
    let target = MetricTarget {
        type_: "Utilization".into(),
        average_utilization: Some(spec.cpu),
        ..MetricTarget::default()
    };
    HorizontalPodAutoscaler {
        metadata,
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".into()),
                kind: "Deployment".into(),
                name,
            },
            min_replicas: Some(plan.replicas),
            max_replicas: spec.max_replicas,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".into(),
                resource: Some(ResourceMetricSource { name: "cpu".into(), target }),
                ..MetricSpec::default()
            }]),
            behavior: None,
        },
        status: None,
    }
}

fn by_lag(plan: &Plan, spec: &Autoscaling, metadata: ObjectMeta, name: &str) -> ScaledObject {
    let prefix = &plan.kafka.prefix;
    let trigger = |topic: &&str| {
        let mut trigger = json!({
            "type": "kafka",
            "metadata": {
                "bootstrapServers": plan.kafka.bootstrap,
                "consumerGroup": format!("{prefix}kbnt-{}", plan.role.component()),
                "topic": format!("{prefix}{topic}"),
                "lagThreshold": spec.lag.to_string(),
                // A service that has not started yet reads from the beginning.
                "offsetResetPolicy": "earliest",
            },
        });
        if let Some(reference) = &spec.trigger_authentication {
            trigger["authenticationRef"] = json!({"name": reference.name});
        }
        trigger
    };
    let mut object = ScaledObject::new(name, &scaled_objects()).data(json!({"spec": {
        "scaleTargetRef": {"name": name},
        "minReplicaCount": plan.replicas,
        "maxReplicaCount": spec.max_replicas,
        "triggers": inputs(plan.role).iter().map(trigger).collect::<Vec<_>>(),
    }}));
    object.metadata = metadata;
    object
}

/// The topics that a service reads.
fn inputs(role: Role) -> &'static [&'static str] {
    match role {
        Role::User | Role::Notification => &["order-events"],
        Role::Payment => &["inventory-events"],
        Role::Order => &["user-events", "inventory-events", "payment-events"],
        // These services have one active pod.
        Role::Inventory | Role::Audit => &[],
    }
}
