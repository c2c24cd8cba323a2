//! How a service fares, as its Deployment tells it.

use k8s_openapi::api::apps::v1::Deployment;
use kbnt_crds::common::ServiceState;

use crate::conditions::{Finding, list};
use crate::kube::fingerprint;

/// How a service fares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It does not run yet.
    Absent,
    /// All its pods can be used.
    Available,
    /// Its pods are on their way.
    Progressing(String),
    /// Its pods do not come up, and why.
    Failed(String),
}

/// A service and how it fares.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct View {
    /// Name of its Deployment.
    pub name: String,
    /// Pods asked for.
    pub desired: i32,
    /// Pods that can be used.
    pub ready: i32,
    /// How it fares.
    pub state: State,
}

/// What is kept of a Deployment.
#[derive(Clone, Debug)]
pub struct ObservedDeployment {
    /// Differs when anything but the status differs.
    pub fingerprint: u64,
    /// UID of its controller.
    pub controller: Option<Box<str>>,
    /// Whether its status speaks of its present generation.
    current: bool,
    /// Pods asked for.
    pub wanted: i32,
    available: i32,
    /// Whether all of its pods are of its present generation, and none of before is left.
    pub rolled_out: bool,
    /// Why no pods can be made.
    failure: Option<Box<str>>,
    /// Why pods do not become ready.
    stalled: Option<Box<str>>,
}

impl ObservedDeployment {
    /// Whether any pod of it can be used.
    pub fn serves(&self) -> bool {
        self.available > 0
    }

    /// Of a Deployment.
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
            fingerprint: fingerprint(&deployment.metadata),
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

impl View {
    /// Of a Deployment, where there is one.
    pub fn of(name: &str, desired: i32, deployment: Option<&ObservedDeployment>) -> Self {
        let Some(deployment) = deployment else {
            return Self { name: name.to_owned(), desired, ready: 0, state: State::Absent };
        };
        let ready = deployment.available;
        // While a change rolls out, the pods of before still serve.
        let state = if ready >= desired {
            State::Available
        } else if !deployment.current {
            State::Progressing("its latest change is not seen yet".into())
        } else if let Some(why) = &deployment.failure {
            State::Failed(why.to_string())
        } else if let Some(why) = &deployment.stalled {
            State::Failed(format!("{why} See `kubectl describe pods`."))
        } else {
            State::Progressing(format!("{ready} of {desired} pods available"))
        };
        Self { name: name.to_owned(), desired, ready, state }
    }
}

/// The services as a status shows them.
pub fn states(views: &[View]) -> Vec<ServiceState> {
    let state =
        |view: &View| ServiceState { name: view.name.clone(), desired: view.desired, ready: view.ready };
    views.iter().map(state).collect()
}

/// WorkloadsAvailable for these services. `awaited` is what has to come before they start.
pub fn finding(views: &[View], awaited: Option<&str>) -> Finding {
    const TYPE: &str = "WorkloadsAvailable";
    let pick = |choose: fn(&State) -> Option<&String>| -> Vec<String> {
        views
            .iter()
            .filter_map(|view| choose(&view.state).map(|why| format!("{}: {why}", view.name)))
            .collect()
    };
    let failed = pick(|state| match state {
        State::Failed(why) => Some(why),
        _ => None,
    });
    if !failed.is_empty() {
        return Finding::no(TYPE, "PodsFailed", list(&failed));
    }
    let absent: Vec<_> =
        views.iter().filter(|view| view.state == State::Absent).map(|view| &view.name).collect();
    if !absent.is_empty() {
        let awaited = awaited.unwrap_or("their Deployments to be made");
        return Finding::no(TYPE, "WaitingForStart", format!("{} wait for {awaited}", list(&absent)));
    }
    let progressing = pick(|state| match state {
        State::Progressing(why) => Some(why),
        _ => None,
    });
    if progressing.is_empty() {
        Finding::yes(TYPE, "Available", format!("{} of {} services available", views.len(), views.len()))
    } else {
        Finding::no(TYPE, "Progressing", list(&progressing))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};

    use super::*;

    fn deployment(observed: i64, available: i32, conditions: &[(&str, &str)]) -> Deployment {
        let conditions = conditions.iter().map(|(type_, status)| DeploymentCondition {
            type_: Some((*type_).into()),
            status: Some((*status).into()),
            message: Some("why".into()),
            ..DeploymentCondition::default()
        });
        let mut deployment = Deployment {
            status: Some(DeploymentStatus {
                observed_generation: Some(observed),
                available_replicas: Some(available),
                conditions: Some(conditions.collect()),
                ..DeploymentStatus::default()
            }),
            ..Deployment::default()
        };
        deployment.metadata.generation = Some(2);
        deployment
    }

    #[test]
    fn a_deployment_tells_how_its_service_fares() {
        let reason = |deployment: Option<&Deployment>| {
            let note = deployment.map(ObservedDeployment::of);
            finding(&[View::of("a", 1, note.as_ref())], Some("topics")).reason
        };
        assert_eq!(reason(None), "WaitingForStart");
        for (observed, available, condition, expected) in [
            (1, 0, ("Progressing", "False"), "Progressing"),
            (1, 1, ("Progressing", "True"), "Available"),
            (2, 0, ("Progressing", "True"), "Progressing"),
            (2, 0, ("Progressing", "False"), "PodsFailed"),
            (2, 0, ("ReplicaFailure", "True"), "PodsFailed"),
            // The old pods still serve while new ones fail: available is what counts.
            (2, 1, ("Progressing", "False"), "Available"),
        ] {
            let deployment = deployment(observed, available, &[condition]);
            assert_eq!(reason(Some(&deployment)), expected, "{observed} {available} {condition:?}");
        }
    }
}
