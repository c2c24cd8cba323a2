//! What is kept of a Deployment.

use k8s_openapi::api::apps::v1::Deployment;

/// What is kept of a Deployment.
#[derive(Clone, Debug)]
pub struct ObservedDeployment {
    /// UID of its controller.
    pub controller: Option<Box<str>>,
    /// Whether its status describes its present generation.
    pub current: bool,
    /// Pods asked for.
    pub wanted: i32,
    /// Pods that can be used.
    pub available: i32,
    /// Whether all of its pods belong to its present generation, and no earlier pod is left.
    pub rolled_out: bool,
    /// Why no pods can be made.
    pub failure: Option<Box<str>>,
    /// Why pods do not become ready.
    pub stalled: Option<Box<str>>,
}

impl ObservedDeployment {
    /// Whether it has a pod that can be used.
    pub fn serves(&self) -> bool {
        self.available > 0
    }

    /// Extracts it from a Deployment.
    pub fn of(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let condition = |type_: &str, is: &str| {
            let found =
                status.conditions.iter().flatten().find(|found| {
                    found.type_.as_deref() == Some(type_) && found.status.as_deref() == Some(is)
                });
            found.map(|found| found.message.clone().unwrap_or_default().into_boxed_str())
        };
        let current = status.observed_generation == deployment.metadata.generation;
        let (pods, updated) = (status.replicas.unwrap_or(0), status.updated_replicas.unwrap_or(0));
        let owners = deployment.metadata.owner_references.iter().flatten();
        Self {
            controller: owners
                .filter(|owner| owner.controller == Some(true))
                .map(|owner| owner.uid.as_str().into())
                .next(),
            current,
            wanted: deployment.spec.replicas.unwrap_or(1),
            available: status.available_replicas.unwrap_or(0),
            rolled_out: current && pods == updated && status.available_replicas == status.replicas,
            failure: condition("ReplicaFailure", "True"),
            stalled: condition("Progressing", "False"),
        }
    }
}
